// What the store promises while nothing fails: order, re-sharding, retention; and one winner among processes.
import { spawn } from 'node:child_process'
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  CheckpointStore,
  FaultyFiles,
  LocalFiles,
  LocalPlaces,
  MemoryFiles,
  type CheckpointAttempt,
  type CheckpointEntry,
  type CheckpointFiles,
  type TensorSlice,
} from '../../src/checkpoint/index.js'
import { outdated } from '../../src/checkpoint/retention.js'
import { checkpointEntry } from '../../src/checkpoint/checkpoint-entry.js'
import { SeededRandom } from '../../src/determinism/index.js'
import {
  bytesOf,
  deal,
  FACTS,
  holds,
  readTensor,
  sameBits,
  sampleModel,
  save,
  seedOf,
  stateOf,
  write,
} from '../helpers/checkpoint-sample.js'

const memoryStore = (files: CheckpointFiles = new MemoryFiles()): CheckpointStore =>
  new CheckpointStore(files, { random: new SeededRandom(1) })

const stepsOf = (entries: readonly CheckpointEntry[]): number[] => entries.map(({ step }) => step)

t.test('Re-sharding: any layout is read as any other, element for element', async () => {
  const shapes = fc.array(fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }), {
    minLength: 1,
    maxLength: 5,
  })
  const shards = fc.integer({ min: 1, max: 5 })
  await fc.assert(
    fc.asyncProperty(shapes, shards, shards, fc.nat(), async (shape, before, after, seed) => {
      const random = new SeededRandom(seed)
      const model = sampleModel(seed, shape)
      const store = memoryStore()
      const attempt = await store.beginAttempt(1, 1)
      for (const [shard, tensors] of deal(model, before, random).entries()) {
        await attempt.writeShard(shard, before, tensors)
      }
      await attempt.writeState(stateOf(seed))
      await attempt.commit(FACTS)
      const { checkpoint } = await store.requireNewest()
      // All of a new shard at once, into memory that is shared; and each slice alone.
      for (const slices of deal(model, after, random)) {
        const wanted = slices.map(({ variable, kind, offset, values }) => {
          return { variable, kind, offset, into: new Float32Array(new SharedArrayBuffer(values.byteLength)) }
        })
        await checkpoint.load(wanted)
        for (const [index, { variable, kind, offset, values }] of slices.entries()) {
          if (!sameBits(wanted[index]!.into, values)) return false
          const alone = await readTensor(checkpoint, { variable, kind }, offset, values.length)
          if (!sameBits(alone, values)) return false
        }
      }
      return checkpoint.tensors().length === model.length
    }),
    { numRuns: 60 },
  )
})

t.test('Re-sharding: the same values onto 1, 2, 3 and 5 servers and back give the same bytes', async t => {
  const model = sampleModel(3, [[40, 30], [30], [30, 10], [10], []])
  const read = new Set<string>()
  const store = memoryStore()
  let step = 0
  for (const shards of [1, 2, 3, 5, 1]) {
    const attempt = await store.beginAttempt(1, ++step)
    const tensors = step === 1 ? model : await everything(store)
    for (const [shard, slices] of deal(tensors, shards, new SeededRandom(step)).entries()) {
      await attempt.writeShard(shard, shards, slices)
    }
    await attempt.writeState(stateOf(1))
    t.match(await attempt.commit(FACTS), { outcome: 'committed', entry: { step } })
    read.add(Buffer.concat((await everything(store)).map(({ values }) => bytesOf(values))).toString('hex'))
  }
  t.equal(read.size, 1)

  async function everything(from: CheckpointStore): Promise<typeof model> {
    const { checkpoint } = await from.requireNewest()
    return Promise.all(
      model.map(async ({ variable, kind, shape, values }) => ({
        variable,
        kind,
        shape,
        values: await readTensor(checkpoint, { variable, kind }, 0, values.length),
      })),
    )
  }
})

t.test('Reading: what is not there, or outside, is refused and named; a file that changed too', async t => {
  const files = new MemoryFiles()
  const store = memoryStore(files)
  await save(store, 1, 10)
  const { checkpoint } = await store.requireNewest()
  const key = { variable: 'layer-0/kernel', kind: 'weights' }
  t.equal((await readTensor(checkpoint, key, 35, 0)).length, 0)
  const nothing = await readTensor(checkpoint, { variable: 'none', kind: 'weights' }, 0, 0)
  t.equal(nothing.length, 0, 'nothing of nothing')
  await t.rejects(readTensor(checkpoint, { ...key, kind: 'adam-1/m' }, 0, 1), {
    message: /has 0 elements of adam-1\/m:layer-0\/kernel/,
  })
  await t.rejects(readTensor(checkpoint, key, -1, 2), { code: 'ERR_CHECKPOINT_SLICE' })
  const into = new Float32Array(6)
  await t.rejects(checkpoint.load([{ ...key, offset: 30, into }]), {
    code: 'ERR_CHECKPOINT_SLICE',
    message: /has 35 elements of weights:layer-0\/kernel; asked were 6 from 30/,
  })
  files.tamper('g0001/step-000000010/state.msgpack', bytes => bytes.subarray(0, 3))
  await t.rejects(checkpoint.readState(), {
    code: 'ERR_CHECKPOINT_DAMAGED',
    message: /^g0001\/step-000000010\/state\.msgpack gave 3 bytes from 0 instead of \d+/,
  })
})

t.test('Loading: bits that flip after a checkpoint was verified are not taken for weights', async t => {
  const inner = new MemoryFiles()
  await save(memoryStore(inner), 1, 10)
  let spoil = false
  // In the last bytes of a shard, where its values are; or in its state.
  const files = new FaultyFiles(inner, ({ kind, path }) =>
    spoil && kind === 'read' && !path.endsWith('.json') ? { kind: 'flip', bit: -1 } : undefined,
  )
  const { checkpoint } = await memoryStore(files).requireNewest()
  const into = new Float32Array(35)
  const wanted = [{ variable: 'layer-0/kernel', kind: 'weights', offset: 0, into }]
  await checkpoint.load(wanted)
  spoil = true
  await t.rejects(checkpoint.load(wanted), { code: 'ERR_CHECKPOINT_DAMAGED', message: /\.safetensors / })
  await t.rejects(checkpoint.readState(), {
    code: 'ERR_CHECKPOINT_DAMAGED',
    message: /state\.msgpack has the SHA-256 \w+; the manifest says/,
  })
})

t.test('Writing: what is not whole is not committed, and its lack is named', async t => {
  const store = memoryStore()
  const slice: TensorSlice = {
    variable: 'v',
    kind: 'weights',
    shape: [4],
    offset: 0,
    values: new Float32Array(4),
  }
  const half = { ...slice, values: slice.values.subarray(0, 2) }
  const refused = async (
    message: RegExp,
    ...acts: ((attempt: CheckpointAttempt) => Promise<unknown>)[]
  ): Promise<void> => {
    const attempt = await store.beginAttempt(1, 5)
    for (const act of acts) await act(attempt)
    await t.rejects(attempt.commit(FACTS), { code: 'ERR_CHECKPOINT_INCOMPLETE', message })
    t.same(await store.files.list('g0001/.tmp'), [], 'it is removed')
  }
  const state = (attempt: CheckpointAttempt): Promise<unknown> => attempt.writeState(stateOf(1))
  const shard =
    (index: number, shards: number, ...slices: TensorSlice[]) =>
    (attempt: CheckpointAttempt): Promise<unknown> =>
      attempt.writeShard(index, shards, slices)
  await refused(/at step 5 of generation 1 lacks shard-00-of-01\.safetensors, state\.msgpack/)
  await refused(/lacks state\.msgpack/, shard(0, 1, slice))
  await refused(/lacks shard-01-of-02\.safetensors/, shard(0, 2, slice), state)
  await refused(
    /has shard-00-of-01\.safetensors, which does not/,
    shard(0, 2, slice),
    shard(1, 2),
    shard(0, 1),
    state,
  )
  await refused(/is not the whole model: weights:v lacks the elements 2 to 3/, shard(0, 1, half), state)
  await refused(/weights:v has the elements from 0 twice/, shard(0, 2, slice), shard(1, 2, slice), state)
  await refused(/has lost state\.msgpack/, shard(0, 1, slice), state, async ({ directory }) =>
    store.files.remove(`${directory}/state.msgpack`),
  )
  const attempt = await store.beginAttempt(1, 5)
  await t.rejects(attempt.writeShard(0, 1, [{ ...half, offset: 3 }]), {
    code: 'ERR_CHECKPOINT_SLICE',
    message: /a slice of weights:v has the elements 3 to 4; the tensor has 4/,
  })
  t.same(await store.list(), [])
})

t.test('Writing: processes may share an attempt; empty shards and tensors are allowed', async t => {
  const files = new MemoryFiles()
  const coordinator = new CheckpointStore(files)
  const attempt = await coordinator.beginAttempt(1, 5)
  const elsewhere = new CheckpointStore(files).joinAttempt(1, 5, attempt.id)
  const values = Float32Array.of(1, 2, 3)
  const slice = { variable: 'v', kind: 'weights', shape: [3], offset: 0, values }
  const none = { variable: 'none', kind: 'weights', shape: [0, 4], offset: 0, values: new Float32Array() }
  const receipt = await elsewhere.writeShard(0, 2, [slice, none])
  attempt.add(JSON.parse(JSON.stringify(receipt)) as typeof receipt)
  await attempt.writeShard(1, 2, [])
  await attempt.writeState(new Uint8Array())
  const committed = await attempt.commit(FACTS)
  t.match(committed, { outcome: 'committed', entry: { generation: 1, step: 5, closed: false } })
  const { checkpoint } = await coordinator.requireNewest()
  t.same(checkpoint.tensors(), [{ variable: 'v', kind: 'weights', shape: [3] }])
  t.same([...(await readTensor(checkpoint, { variable: 'v', kind: 'weights' }, 1, 2))], [2, 3])
  t.equal((await checkpoint.readState()).byteLength, 0)
})

t.test('Reading: a checkpoint whose shards are each whole but together lack elements is damaged', async t => {
  const files = new MemoryFiles()
  const store = memoryStore(files)
  const attempt = await store.beginAttempt(1, 5)
  const values = new Float32Array(2)
  const half = { variable: 'v', kind: 'weights', shape: [4], offset: 0, values }
  const { file, bytes, sha256 } = await new CheckpointStore(files)
    .joinAttempt(1, 5, attempt.id)
    .writeShard(0, 1, [half])
  attempt.add({ file, bytes, sha256 })
  await attempt.writeState(new Uint8Array())
  t.equal((await attempt.commit(FACTS)).outcome, 'committed')
  t.match(await store.newest(), {
    checkpoint: undefined,
    skipped: [{ reason: 'slices-inconsistent', what: 'weights:v lacks the elements 2 to 3' }],
  })
})

t.test('Order: by generation, then step; a closed generation is read, and takes nothing more', async t => {
  const store = memoryStore()
  for (const [generation, step] of [
    [1, 300],
    [1, 100],
    [2, 200],
    [10, 5],
  ] as const)
    await save(store, generation, step)
  await store.closeGeneration(2)
  await store.closeGeneration(2)
  t.same(
    (await store.list()).map(({ directory }) => directory),
    [
      'g0010/step-000000005',
      'g0002.closed/step-000000200',
      'g0001.closed/step-000000300',
      'g0001.closed/step-000000100',
    ],
  )
  t.equal(await store.lastGeneration(), 10)
  await t.rejects(store.beginAttempt(1, 400), { code: 'ERR_CHECKPOINT_CLOSED' })
  const { checkpoint } = await store.requireNewest()
  t.ok(await holds(checkpoint, seedOf(10, 5)))
  t.match(checkpoint.manifest, { generation: 10, step: 5, epoch: 2, shards: 2, job: 'sample' })
})

t.test('Closing: also a generation that wrote nothing refuses late writers', async t => {
  const store = memoryStore()
  t.equal(await store.lastGeneration(), undefined)
  await store.closeGeneration(7)
  await t.rejects(store.beginAttempt(7, 1), { code: 'ERR_CHECKPOINT_CLOSED' })
  t.equal(await store.lastGeneration(), 7)
  t.same(await store.newest(), { checkpoint: undefined, skipped: [] })
  t.equal((await save(store, 8, 1)).outcome, 'committed')
})

t.test('Retention: the last ones and the first of each run of steps stay', async t => {
  const entries = (steps: readonly number[]): CheckpointEntry[] =>
    steps.map(step => checkpointEntry(1, false, step))
  t.same(stepsOf(outdated(entries([10, 20, 30, 40, 50]), { keepLast: 2 })), [10, 20, 30])
  t.same(stepsOf(outdated(entries([10, 20, 30]), {})), [], 'three by default')
  t.same(stepsOf(outdated(entries([10, 20]), { keepLast: 0 })), [10], 'one at least')
  t.same(
    stepsOf(outdated(entries([7, 55, 103, 150, 240, 260, 300]), { keepLast: 1, keepEverySteps: 100 })),
    [55, 150, 260],
  )
  // As it goes on, what stayed once stays.
  const store = memoryStore()
  for (let step = 10; step <= 300; step += 10) {
    await save(store, 1, step)
    await store.retain({ keepLast: 2, keepEverySteps: 100 }, 'lengths')
  }
  t.same(stepsOf(await store.list()), [300, 290, 200, 100, 10])
  t.same(await store.files.list('g0001/.tmp'), [])
})

t.test('Retention: over generations; the newest that verifies stays, and all while none does', async t => {
  const files = new MemoryFiles()
  const store = memoryStore(files)
  const break_ = (folder: string): void =>
    files.tamper(`${folder}/state.msgpack`, bytes => bytes.map(byte => byte ^ 1))
  for (const step of [10, 20, 30]) await save(store, 1, step)
  await store.closeGeneration(1)
  for (const step of [25, 35]) await save(store, 2, step)
  break_('g0002/step-000000035')
  break_('g0002/step-000000025')
  t.match(await store.retain({ keepLast: 1 }), {
    removed: [{ step: 10 }, { step: 20 }],
    verified: { generation: 1, step: 30 },
  })
  t.equal((await store.requireNewest()).checkpoint.entry.step, 30)
  break_('g0001.closed/step-000000030')
  t.same(await store.retain({ keepLast: 1 }), { removed: [], verified: undefined, swept: [] })
  await t.rejects(store.requireNewest(), {
    code: 'ERR_CHECKPOINT_NONE',
    message:
      /^memory holds no checkpoint that can be used: g0002\/step-000000035: state\.msgpack has the SHA-256 .*; g0002\/step-000000025: /,
  })
  await save(store, 3, 40)
  t.match(await store.retain({ keepLast: 1 }), { verified: { generation: 3, step: 40 } })
  t.same(stepsOf(await store.list()), [40], 'damaged ones go when they are older than what stays')
})

t.test('Looking while a generation is closed: it is found where it is', async t => {
  const files = new MemoryFiles()
  const store = memoryStore(files)
  await save(store, 1, 10)
  const inner = files.list.bind(files)
  let closing = true
  // Between the list of generations and that of their steps.
  files.list = async path => {
    const found = await inner(path)
    if (path === '' && closing) {
      closing = false
      await memoryStore(files).closeGeneration(1)
    }
    return found
  }
  t.equal((await store.requireNewest()).checkpoint.entry.directory, 'g0001.closed/step-000000010')
})

const RACER = join(import.meta.dirname, '../fixtures/checkpoint/race.ts')
const RACERS = 3
const STEPS = 5

/** Starts a process that commits steps from 1 on; `onOutcome` is told what became of each. */
function race(
  args: { place: string; generation: number; racer: number; racers: number; steps: number },
  onOutcome: (outcome: string, kill: () => void) => void,
): Promise<unknown> {
  const { place, generation, racer, racers, steps } = args
  const numbers = [generation, racer, racers, steps].map(String)
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=troupe-source', RACER, place, ...numbers],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  child.stdout.on('data', (data: Buffer) => {
    for (const outcome of data.toString().trim().split(' ')) onOutcome(outcome, () => child.kill('SIGKILL'))
  })
  return new Promise(resolve => child.on('close', resolve))
}

t.test('Disk: of processes that commit the same steps one wins each, and all see the same', async t => {
  const place = t.testdir()
  const outcomes = await Promise.all(
    Array.from({ length: RACERS }, async (_, racer) => {
      const told: string[] = []
      await race({ place, generation: 1, racer, racers: RACERS, steps: STEPS }, outcome => told.push(outcome))
      return told
    }),
  )
  const store = new CheckpointStore(new LocalFiles(place))
  t.same(
    stepsOf(await store.list()),
    Array.from({ length: STEPS }, (_, index) => STEPS - index),
  )
  for (const entry of await store.list()) {
    const winners = outcomes.flatMap((one, racer) => (one[entry.step - 1] === 'committed' ? [racer] : []))
    const losers = outcomes.filter(one => one[entry.step - 1] === 'lost')
    t.equal(winners.length, 1, `one winner at step ${entry.step}`)
    t.equal(losers.length, RACERS - 1)
    const verification = await store.verify(entry)
    t.ok(verification.ok && (await holds(verification.checkpoint, winners[0]!)), 'its checkpoint is the one')
  }
  t.same(await readdir(join(place, 'g0001/.tmp')), [])
})

t.test('Disk: a process killed in the middle loses nothing that it was told to be there', async t => {
  const place = t.testdir()
  const store = new CheckpointStore(new LocalFiles(place))
  for (const [index, killAfter] of [1, 12].entries()) {
    const generation = index + 1
    let acknowledged = 0
    await race({ place, generation, racer: index, racers: 1, steps: 1e6 }, (outcome, kill) => {
      if (outcome === 'committed') acknowledged++
      if (acknowledged >= killAfter) kill()
    })
    const { checkpoint, skipped } = await store.requireNewest()
    t.same(skipped, [], `${acknowledged} steps`)
    t.equal(checkpoint.entry.generation, generation)
    t.ok(checkpoint.entry.step >= acknowledged, `step ${checkpoint.entry.step}`)
    t.ok(await holds(checkpoint, index))
    await store.closeGeneration(generation)
    await store.sweep()
    t.same(await readdir(join(place, `g000${generation}.closed/.tmp`)), [])
  }
})

t.test('Disk: names, errors and durable writes of local files', async t => {
  const folder = t.testdir({ file: 'x', full: { one: 'y' }, other: { two: 'z' } })
  const files = new LocalFiles(folder)
  t.equal(files.place, folder)
  const sink = await files.create('new')
  await sink.write(Buffer.from('some '))
  await sink.write(Buffer.from('bytes'))
  await sink.close()
  t.equal(Buffer.from(await files.read('new', 2, 100)).toString(), 'me bytes')
  t.equal((await files.read('new', 100, 5)).byteLength, 0)
  t.match(await files.stat('new'), { directory: false, bytes: 10 })
  t.equal(await files.stat('no/where'), undefined)
  t.equal(await files.list('new'), undefined)
  t.same(
    (await files.list(''))?.map(({ name }) => name),
    ['file', 'full', 'new', 'other'],
  )
  t.equal(await files.renameExclusive('full', 'other'), 'exists', 'a folder that is not empty')
  t.equal(await files.renameExclusive('full', 'file'), 'exists', 'a file')
  t.equal(await files.renameExclusive('full', 'no/where'), 'missing')
  t.equal(await files.renameExclusive('nothing', 'there'), 'missing')
  t.equal(await files.renameExclusive('full', 'moved'), 'done')
  await t.rejects(files.create('new'), {
    code: 'ERR_CHECKPOINT_EXISTS',
    message: /^creating .*new: something is there already/,
  })
  await t.rejects(files.create('no/where'), { code: 'ERR_CHECKPOINT_MISSING' })
  await t.rejects(files.read('nothing', 0, 1), { code: 'ERR_CHECKPOINT_MISSING' })
  await t.rejects(files.read('moved', 0, 1), { code: 'ERR_CHECKPOINT_UNREADABLE' }, 'a folder')
  await t.rejects(files.syncDirectory('nothing'), { code: 'ERR_CHECKPOINT_MISSING' })
  for (const path of ['../x', 'a//b', '/etc', './x']) {
    await t.rejects(files.makeDirectory(path), { code: 'ERR_CHECKPOINT_IO' }, path)
  }
  await files.remove('moved')
  await files.remove('moved')
  await files.syncDirectory('')
})

t.test('Disk: a place that is not writable, or is a file, is named', async t => {
  const folder = t.testdir({ file: 'x', closed: {} })
  await t.rejects(save(new CheckpointStore(new LocalFiles(join(folder, 'file'))), 1, 1), {
    code: /^ERR_CHECKPOINT_(MISSING|EXISTS)$/,
    message: /making the folder .*file/,
  })
  const closed = join(folder, 'closed')
  await chmod(closed, 0o500)
  const writable = await writeFile(join(closed, 'probe'), '').then(
    () => true,
    () => false,
  )
  // Who is root may write anywhere.
  if (!writable) {
    await t.rejects(save(new CheckpointStore(new LocalFiles(closed)), 1, 1), {
      code: 'ERR_CHECKPOINT_IO',
      message: /^making the folder .*closed.*: the file system refused/,
    })
  }
  await chmod(closed, 0o700)
})

t.test(
  'Disk: the folder above is removed while a checkpoint is written: named, and the next one succeeds',
  async t => {
    const place = join(t.testdir(), 'deep/er')
    await mkdir(place, { recursive: true })
    const store = new CheckpointStore(new LocalFiles(place))
    const attempt = await store.beginAttempt(1, 1)
    await attempt.writeShard(0, 1, [])
    await rm(place, { recursive: true })
    await t.rejects(attempt.writeState(stateOf(1)), {
      code: 'ERR_CHECKPOINT_MISSING',
      message: /state\.msgpack/,
    })
    await t.rejects(attempt.commit(FACTS), { code: 'ERR_CHECKPOINT_INCOMPLETE' })
    const next = await store.beginAttempt(1, 2)
    await write(next, 5)
    t.match(await next.commit(FACTS), { outcome: 'committed' })
  },
)

t.test('Places: paths and file: URLs are folders; anything else is refused by name', t => {
  const places = new LocalPlaces('/base')
  t.equal(places.open('some/where').place, '/base/some/where')
  t.equal(places.open('/root').place, '/root')
  t.equal(places.open('file:///data/x%20y').place, '/data/x y')
  for (const place of ['', 'hdfs://name:9000/x', 's3://bucket', 'file://host/share']) {
    t.throws(() => places.open(place), {
      code: 'ERR_CHECKPOINT_PLACE',
      message: `no checkpoints can be kept in ${JSON.stringify(place)}. Remedy: give a directory of this machine, as a path or a file: URL, or one in HDFS: hdfs://, webhdfs://, swebhdfs://`,
    })
  }
  t.end()
})
