// Whatever fails, and wherever: a reader finds the newest checkpoint that was acknowledged, or a newer whole one.
import t from 'tap'
import {
  CheckpointStore,
  FaultyFiles,
  MemoryFiles,
  randomDiskFaults,
  type Checkpoint,
  type CheckpointFiles,
  type CommitOutcome,
  type FaultPlan,
  type FileFault,
  type FileOperation,
  type MemoryFilesOptions,
} from '../../src/checkpoint/index.js'
import { SeededRandom } from '../../src/determinism/index.js'
import { causalChain, hasCode, TroupeError } from '../../src/errors.js'
import { FACTS, holds, save, seedOf, write } from '../helpers/checkpoint-sample.js'

const LOCAL: MemoryFilesOptions = {}
const HDFS: MemoryFilesOptions = { makesFolders: true }

const storeOn = (files: CheckpointFiles, seed = 1): CheckpointStore =>
  new CheckpointStore(files, { random: new SeededRandom(seed) })

/** Orders checkpoints as readers do. */
const rank = (generation: number, step: number): number => generation * 1000 + step

interface Progress {
  /** Of the newest checkpoint that the writer was told to be there. */
  acknowledged: number
  error?: unknown
}

/** Two cuts, retention, a rollback, a cut of the next generation, sweeping: all that a job does to a place. */
async function life(files: CheckpointFiles, progress: Progress): Promise<void> {
  const store = storeOn(files, 2)
  const cut = async (generation: number, step: number): Promise<void> => {
    const { outcome } = await save(store, generation, step)
    if (outcome === 'committed') progress.acknowledged = rank(generation, step)
  }
  try {
    await cut(1, 20)
    await store.retain({ keepLast: 1 })
    await cut(1, 30)
    await store.retain({ keepLast: 2 })
    await store.closeGeneration(1)
    await cut(2, 40)
    await store.sweep(0)
    await store.retain({ keepLast: 1 })
  } catch (error) {
    progress.error = error
  }
}

/** A place with one checkpoint in it. */
async function placeWithOne(options: MemoryFilesOptions): Promise<MemoryFiles> {
  const files = new MemoryFiles(options)
  await save(storeOn(files), 1, 10)
  return files
}

async function operationsOfLife(options: MemoryFilesOptions): Promise<FileOperation[]> {
  const progress: Progress = { acknowledged: rank(1, 10) }
  const operations = await record(await placeWithOne(options), files => life(files, progress))
  if (progress.error !== undefined || progress.acknowledged !== rank(2, 40)) {
    throw new Error('the undisturbed life failed', { cause: progress.error })
  }
  return operations
}

async function operationsOfSave(options: MemoryFilesOptions): Promise<FileOperation[]> {
  return record(await placeWithOne(options), files => save(storeOn(files, 2), 1, 20))
}

async function record(
  inner: CheckpointFiles,
  action: (files: CheckpointFiles) => Promise<unknown>,
): Promise<FileOperation[]> {
  const operations: FileOperation[] = []
  await action(new FaultyFiles(inner, operation => void operations.push(operation)))
  return operations
}

/** To stop behind one that only looks is to stop behind the last that changed something. */
const changes = ({ kind }: FileOperation): boolean => !['read', 'stat', 'list'].includes(kind)

/** What a reader that comes later makes of the place; a string says what is wrong. */
async function judge(files: CheckpointFiles, progress: Progress): Promise<string | undefined> {
  const { checkpoint, skipped } = await storeOn(files, 3).newest()
  if (checkpoint === undefined) return 'nothing is left'
  const { generation, step, directory } = checkpoint.entry
  if (rank(generation, step) < progress.acknowledged)
    return `${directory} is older than what was acknowledged`
  if (!(await holds(checkpoint, seedOf(generation, step)))) return `${directory} holds something else`
  if (skipped.length > 0) return `half of one is seen: ${skipped[0]!.directory} ${skipped[0]!.what}`
  // Older ones too: what is being removed is not seen by half either.
  const store = storeOn(files, 3)
  for (const entry of await store.list()) {
    const verification = await store.verify(entry)
    if (!verification.ok) return `half of one is seen: ${entry.directory} ${verification.damage.what}`
  }
  return undefined
}

const textOf = (error: unknown): string => causalChain(error).join('; ')

/** What lies in the temporary folders. */
async function leftovers(files: CheckpointFiles): Promise<string[]> {
  const found: string[] = []
  for (const { name } of (await files.list('')) ?? []) {
    for (const left of (await files.list(`${name}/.tmp`)) ?? []) found.push(`${name}/.tmp/${left.name}`)
  }
  return found
}

const at =
  (index: number, fault: FileFault): FaultPlan =>
  operation =>
    operation.index === index ? fault : undefined

for (const [name, options] of Object.entries({ local: LOCAL, HDFS })) {
  t.test(
    `Stop after every single operation (${name}): nothing acknowledged is lost, no half is seen`,
    async t => {
      const operations = await operationsOfLife(options)
      const wrong: string[] = []
      for (const { index, kind } of operations.filter(changes)) {
        for (const torn of kind === 'write' ? [false, true] : [false]) {
          const inner = await placeWithOne(options)
          const files = new FaultyFiles(inner, at(index, { kind: 'stop', torn }))
          const progress: Progress = { acknowledged: rank(1, 10) }
          await life(files, progress)
          const fault = await judge(inner, progress)
          if (fault !== undefined) wrong.push(`after operation ${index}: ${fault}`)
          // A successor, in the next generation, is hindered by nothing that lies about.
          const successor = storeOn(inner, 4)
          await successor.closeGeneration(2)
          if ((await save(successor, 3, 50)).outcome !== 'committed') wrong.push(`${index}: successor`)
          await successor.sweep(0)
          if ((await leftovers(inner)).length > 0)
            wrong.push(`${index}: ${(await leftovers(inner)).join(', ')}`)
          const after = await judge(inner, { acknowledged: rank(3, 50) })
          if (after !== undefined) wrong.push(`after operation ${index} and a successor: ${after}`)
        }
      }
      t.same(wrong, [])
    },
  )

  t.test(`Power lost after every single operation (${name}): nothing acknowledged is lost`, async t => {
    const operations = await operationsOfLife(options)
    const wrong: string[] = []
    for (const { index } of operations.filter(changes)) {
      for (const seed of [1, 2]) {
        const inner = await placeWithOne(options)
        const files = new FaultyFiles(inner, at(index, { kind: 'stop' }))
        const progress: Progress = { acknowledged: rank(1, 10) }
        await life(files, progress)
        inner.losePower(new SeededRandom(seed * 1000 + index))
        const fault = await judge(inner, progress)
        if (fault !== undefined) wrong.push(`after operation ${index}: ${fault}`)
      }
    }
    t.same(wrong, [])
  })
}

for (const kind of ['disk-full', 'io-error'] as const) {
  t.test(
    `${kind} at every operation: a typed error, the previous one is used, the next attempt succeeds`,
    async t => {
      const takesSpace = new Set(['makeDirectory', 'create', 'write', 'close'])
      const all = await operationsOfLife(LOCAL)
      const operations = kind === 'disk-full' ? all.filter(one => takesSpace.has(one.kind)) : all
      t.ok(operations.length > 40, `${operations.length} operations`)
      const wrong: string[] = []
      for (const { index } of operations) {
        const inner = await placeWithOne(LOCAL)
        const files = new FaultyFiles(inner, at(index, { kind }))
        const progress: Progress = { acknowledged: rank(1, 10) }
        await life(files, progress)
        const { error } = progress
        const code = kind === 'disk-full' ? 'ERR_CHECKPOINT_DISK_FULL' : 'ERR_CHECKPOINT_IO'
        // What fails while it removes an attempt that has lost its use is not told: it is swept later.
        if (error !== undefined && !hasCode(error, code)) wrong.push(`${index}: ${textOf(error)}`)
        if (error === undefined && files.fired[0]!.operation.kind !== 'remove')
          wrong.push(`${index}: no error`)
        const fault = await judge(inner, progress)
        if (fault !== undefined) wrong.push(`${kind} at operation ${index}: ${fault}`)
        const store = storeOn(inner, 5)
        await store.closeGeneration(2)
        if ((await save(store, 3, 50)).outcome !== 'committed') wrong.push(`${index}: next attempt`)
      }
      t.same(wrong, [])
    },
  )
}

t.test('A full disk: what the attempt took is given back', async t => {
  const inner = await placeWithOne(LOCAL)
  const writes = new FaultyFiles(inner, ({ kind, path }) =>
    kind === 'write' && path.endsWith('state.msgpack') ? { kind: 'disk-full' } : undefined,
  )
  await t.rejects(save(storeOn(writes, 2), 1, 20), {
    code: 'ERR_CHECKPOINT_DISK_FULL',
    message: /write g0001\/\.tmp\/step-000000020\.\w+\/state\.msgpack: no space is left\. Remedy: free space/,
  })
  t.same(await inner.list('g0001/.tmp'), [])
})

t.test(
  'Torn writes and broken uploads that report success: the length tells, nothing is committed',
  async t => {
    const wrong: string[] = []
    const writes = (await operationsOfSave(LOCAL)).filter(({ kind }) => kind === 'write')
    for (const { index } of writes) {
      const inner = await placeWithOne(LOCAL)
      const files = new FaultyFiles(inner, at(index, { kind: 'torn' }))
      const error: unknown = await save(storeOn(files, 2), 1, 20).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (!hasCode(error, 'ERR_CHECKPOINT_INCOMPLETE')) wrong.push(`${index}: ${String(error)}`)
      else if (!/has \d+ bytes of \S+ instead of \d+/.test(error.message)) wrong.push(error.message)
      const fault = await judge(inner, { acknowledged: rank(1, 10) })
      if (fault !== undefined) wrong.push(`${index}: ${fault}`)
    }
    t.same(wrong, [])
    t.equal(writes.length, 4, 'two shards, the state, the manifest')
  },
)

t.test(
  'A bit that flips on its way to the disk, in each write: found, named, the previous one used',
  async t => {
    const seen = new Set<string>()
    const writes = (await operationsOfSave(LOCAL)).filter(({ kind }) => kind === 'write')
    for (const { index } of writes) {
      const inner = await placeWithOne(LOCAL)
      const files = new FaultyFiles(inner, at(index, { kind: 'flip', bit: 1000 + 37 * index }))
      const store = storeOn(files, 2)
      await save(store, 1, 20)
      const written = files.fired[0]!.operation.path.split('/').at(-1) ?? ''
      const { checkpoint, skipped } = await storeOn(inner).newest()
      t.equal(checkpoint?.entry.step, 10)
      t.ok(await holds(checkpoint as Checkpoint, seedOf(1, 10)))
      t.match(skipped, [{ step: 20, file: written, directory: 'g0001/step-000000020' }])
      t.equal(skipped[0]?.reason, written === 'manifest.json' ? 'manifest-damaged' : 'file-digest')
      // The damaged one does not push the good one out.
      t.same((await store.retain({ keepLast: 1 })).removed, [])
      seen.add(written)
    }
    t.same([...seen].sort(), [
      'manifest.json',
      'shard-00-of-02.safetensors',
      'shard-01-of-02.safetensors',
      'state.msgpack',
    ])
  },
)

t.test(
  'A folder that somebody removes, before every operation: named, what is elsewhere is used',
  async t => {
    const place = async (): Promise<MemoryFiles> => {
      const files = await placeWithOne(LOCAL)
      await storeOn(files).closeGeneration(1)
      return files
    }
    const wrong: string[] = []
    let refused = 0
    for (let index = 0; ; index++) {
      const inner = await place()
      const files = new FaultyFiles(inner, operation =>
        operation.index === index && operation.path.includes('/') ? { kind: 'parent-removed' } : undefined,
      )
      const progress: Progress = { acknowledged: rank(1, 10) }
      try {
        const { outcome } = await save(storeOn(files, 2), 2, 20)
        if (outcome !== 'committed') wrong.push(`${index}: ${outcome}`)
      } catch (error) {
        refused++
        const named = hasCode(error, 'ERR_CHECKPOINT_MISSING') || hasCode(error, 'ERR_CHECKPOINT_INCOMPLETE')
        if (!named) wrong.push(`${index}: ${String(error)}`)
      }
      const fault = await judge(inner, progress)
      if (fault !== undefined) wrong.push(`${index}: ${fault}`)
      // The next attempt makes what is missing.
      if ((await save(storeOn(inner, 6), 2, 30)).outcome !== 'committed') wrong.push(`${index}: next attempt`)
      if (index > files.operations) break
    }
    t.same(wrong, [])
    t.ok(refused > 8, `${refused} times`)
  },
)

t.test('A place that is gone altogether: no checkpoint, said so', async t => {
  const files = await placeWithOne(LOCAL)
  await files.remove('')
  t.same(await storeOn(files).newest(), { checkpoint: undefined, skipped: [] })
  await t.rejects(storeOn(files).requireNewest(), {
    code: 'ERR_CHECKPOINT_NONE',
    message: /^memory holds no checkpoint\. Remedy: check the directory with: troupe checkpoints/,
  })
  t.equal((await save(storeOn(files), 1, 20)).outcome, 'committed', 'and a new one can be written')
})

t.test('A place that cannot be asked is not taken for one whose newest checkpoint is damaged', async t => {
  const inner = await placeWithOne(LOCAL)
  await save(storeOn(inner), 1, 20)
  const files = new FaultyFiles(inner, ({ kind }) => (kind === 'read' ? { kind: 'io-error' } : undefined))
  await t.rejects(storeOn(files).newest(), { code: 'ERR_CHECKPOINT_IO' })
})

t.test('Random faults over many lives: what is acknowledged and undamaged is never lost', async t => {
  const kinds = new Set<string>()
  const wrong: string[] = []
  for (let seed = 0; seed < 150; seed++) {
    const random = new SeededRandom(seed)
    const inner = await placeWithOne(seed % 2 === 0 ? LOCAL : HDFS)
    const files = new FaultyFiles(
      inner,
      randomDiskFaults(random, { diskFull: 0.01, ioError: 0.01, torn: 0.02, flip: 0.01 }),
    )
    const progress: Progress = { acknowledged: rank(1, 10) }
    await life(files, progress)
    for (const { fault } of files.fired) kinds.add(fault.kind)
    const { checkpoint, skipped } = await storeOn(inner).newest()
    // A flipped bit may spoil what was acknowledged; then it is named, and one that is whole is used.
    const spoilt = skipped.some(damage => rank(damage.generation, damage.step) >= progress.acknowledged)
    if (checkpoint === undefined) wrong.push(`seed ${seed}: nothing is left`)
    else {
      const { generation, step } = checkpoint.entry
      if (!(await holds(checkpoint, seedOf(generation, step)))) wrong.push(`seed ${seed}: other content`)
      if (rank(generation, step) < progress.acknowledged && !spoilt) wrong.push(`seed ${seed}: lost`)
    }
  }
  t.same(wrong, [])
  t.same([...kinds].sort(), ['disk-full', 'flip', 'io-error', 'torn'])
})

/** A plan that waits before operation `index`, and when it came there. */
function pauseAt(index: number): { plan: FaultPlan; reached: Promise<void>; resume: () => void } {
  let resume!: () => void
  let arrive!: () => void
  const until = new Promise<void>(resolve => (resume = resolve))
  const reached = new Promise<void>(resolve => (arrive = resolve))
  const plan: FaultPlan = operation => {
    if (operation.index !== index) return undefined
    arrive()
    return { kind: 'wait', until }
  }
  return { plan, reached, resume }
}

t.test(
  'Two writers of one step, interleaved at every pair of operations: one wins, the other is told',
  async t => {
    const wrong: string[] = []
    let pairs = 0
    const one = new FaultyFiles(await placeWithOne(LOCAL), () => undefined)
    await save(storeOn(one, 2), 1, 20)
    for (let first = 0; first < one.operations; first++) {
      for (let second = 0; second < one.operations; second++) {
        pairs++
        const inner = await placeWithOne(LOCAL)
        const [a, b] = [pauseAt(first), pauseAt(second)]
        const writerA = save(storeOn(new FaultyFiles(inner, a.plan), 2), 1, 20, 111)
        await a.reached
        const writerB = save(storeOn(new FaultyFiles(inner, b.plan), 3), 1, 20, 222)
        await Promise.race([b.reached, writerB])
        a.resume()
        const outcomeA = await writerA
        b.resume()
        const outcomeB = await writerB
        const { checkpoint } = await storeOn(inner).newest()
        const winner = outcomeA.outcome === 'committed' ? 111 : 222
        const fair = [outcomeA.outcome, outcomeB.outcome].sort().join() === 'committed,lost'
        const whole = checkpoint?.entry.step === 20 && (await holds(checkpoint, winner))
        const left = await inner.list('g0001/.tmp')
        if (!fair || !whole || left?.length !== 0) {
          wrong.push(
            `${first}, ${second}: ${outcomeA.outcome} ${outcomeB.outcome} ${String(left?.length)} left`,
          )
        }
      }
    }
    t.same(wrong, [])
    t.ok(pairs > 400, `${pairs} pairs`)
  },
)

for (const [name, options] of Object.entries({ local: LOCAL, HDFS })) {
  t.test(
    `A rollback at every operation of a commit (${name}): committed before it, or closed; never after`,
    async t => {
      const outcomes = new Map<string, number>()
      const wrong: string[] = []
      for (const { index } of await operationsOfSave(options)) {
        const inner = await placeWithOne(options)
        const pause = pauseAt(index)
        const writer = save(storeOn(new FaultyFiles(inner, pause.plan), 2), 1, 20).then(
          (outcome: CommitOutcome) => outcome.outcome,
          (error: unknown) => (error instanceof TroupeError ? error.code : String(error)),
        )
        await pause.reached
        const store = storeOn(inner, 3)
        await store.closeGeneration(1)
        const atRollback = (await store.newest()).checkpoint?.entry.step
        pause.resume()
        const outcome = await writer
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        const later = (await store.newest()).checkpoint
        if (later?.entry.step !== atRollback)
          wrong.push(`${index}: ${String(atRollback)} became ${String(later?.entry.step)}`)
        if ((outcome === 'committed') !== (atRollback === 20))
          wrong.push(`${index}: ${outcome}, ${String(atRollback)}`)
        await store.sweep()
        t.same(
          (await inner.list(''))?.map(entry => entry.name),
          ['g0001.closed'],
        )
        t.same(await inner.list('g0001.closed/.tmp'), [])
        await t.rejects(store.beginAttempt(1, 30), {
          code: 'ERR_CHECKPOINT_CLOSED',
          message: /^generation 1 is closed; a checkpoint at step 30 was begun in it/,
        })
      }
      t.same(wrong, [])
      t.ok((outcomes.get('ERR_CHECKPOINT_CLOSED') ?? 0) > 0, JSON.stringify([...outcomes]))
      t.ok((outcomes.get('closed') ?? 0) > 0)
      t.ok((outcomes.get('committed') ?? 0) > 0)
      t.same([...outcomes.keys()].sort(), ['ERR_CHECKPOINT_CLOSED', 'closed', 'committed'])
    },
  )
}

t.test('A sweep at every operation of a slow writer: its commit is whole, or is refused', async t => {
  const wrong: string[] = []
  let refused = 0
  for (const { index: writerAt } of await operationsOfSave(LOCAL)) {
    for (let sweeperAt = 0; sweeperAt < 16; sweeperAt++) {
      const inner = await placeWithOne(LOCAL)
      const [writerPause, sweeperPause] = [pauseAt(writerAt), pauseAt(sweeperAt)]
      const writer = save(storeOn(new FaultyFiles(inner, writerPause.plan), 2), 1, 20).then(
        ({ outcome }) => outcome,
        (error: unknown) => (error instanceof TroupeError ? error.code : String(error)),
      )
      await writerPause.reached
      const sweeping = storeOn(new FaultyFiles(inner, sweeperPause.plan), 3).sweep(0)
      await Promise.race([sweeperPause.reached, sweeping])
      writerPause.resume()
      const outcome = await writer
      sweeperPause.resume()
      await sweeping
      const { checkpoint, skipped } = await storeOn(inner).newest()
      if (outcome !== 'committed') refused++
      const expected = outcome === 'committed' ? 20 : 10
      const typed = ['committed', 'ERR_CHECKPOINT_MISSING', 'ERR_CHECKPOINT_INCOMPLETE'].includes(outcome)
      if (checkpoint?.entry.step !== expected || skipped.length > 0 || !typed) {
        wrong.push(`${writerAt}, ${sweeperAt}: ${outcome}, then ${String(checkpoint?.entry.step)}`)
      }
    }
  }
  t.same(wrong, [])
  t.ok(refused > 5, `${refused} times`)
})

t.test(
  'Sweeping: own attempts and fresh ones of others stay, old ones go, by the clock of the place',
  async t => {
    let nowMs = 1_000_000
    const files = new MemoryFiles({ nowMs: () => nowMs })
    const own = storeOn(files, 1)
    const other = storeOn(files, 2)
    const mine = await own.beginAttempt(1, 10)
    const old = await other.beginAttempt(1, 10)
    nowMs += 3_000_000
    await write(old, 1)
    const fresh = await other.beginAttempt(1, 20)
    nowMs += 3_500_000
    await write(fresh, 2)
    nowMs += 100_000
    t.same(await own.sweep(), [old.directory], 'not written to for an hour')
    t.same(
      (await files.list('g0001/.tmp'))?.map(entry => `g0001/.tmp/${entry.name}`).sort(),
      [mine.directory, fresh.directory].sort(),
    )
    t.equal((await fresh.commit(FACTS)).outcome, 'committed')
    await write(mine, 3)
    t.equal((await mine.commit(FACTS)).outcome, 'committed')
    t.same(await files.list('g0001/.tmp'), [])
  },
)
