// What lies on the disk: readable by others, the same for ever, and wrong in no bit without being noticed.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { CheckpointStore, LocalFiles, MemoryFiles, type FileSink } from '../../src/checkpoint/index.js'
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.js'
import { decodeShardHeader, encodeShardHeader, shardHeaderBytes } from '../../src/checkpoint/safetensors.js'
import { CHUNK_BYTES, streamShard } from '../../src/checkpoint/shard-stream.js'
import { coverageFault, type SliceInfo } from '../../src/checkpoint/tensor-slice.js'
import { SeededRandom } from '../../src/determinism/index.js'
import {
  bytesOf,
  deal,
  FACTS,
  FIXTURE,
  fixtureModel,
  holds,
  readTensor,
  sameBits,
  sampleModel,
  seedOf,
  stateOf,
  writeFixture,
  type SampleTensor,
} from '../helpers/checkpoint-sample.js'

const FOLDER = join(import.meta.dirname, '../fixtures/checkpoint')
const STEP = 'g0003/step-000000007'
const FILES = ['manifest.json', 'shard-00-of-02.safetensors', 'shard-01-of-02.safetensors', 'state.msgpack']
const PYTHON = process.env['PYTHON'] ?? 'python3'
const ENABLE = `${PYTHON} -m pip install safetensors numpy (PYTHON names another interpreter)`

const python = async (...args: string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(PYTHON, args, {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    maxBuffer: 1 << 26,
  })
  return stdout
}

t.test('Files: the checkpoint in test/fixtures is written and read as it always was', async t => {
  const files = new MemoryFiles()
  await writeFixture(new CheckpointStore(files), FIXTURE)
  for (const name of FILES) {
    const { bytes } = (await files.stat(`${STEP}/${name}`)) ?? { bytes: 0 }
    const written = Buffer.from(await files.read(`${STEP}/${name}`, 0, bytes))
    t.ok(written.equals(await readFile(join(FOLDER, STEP, name))), `${name}; else run write.ts beside it`)
  }
  const { checkpoint } = await new CheckpointStore(new LocalFiles(FOLDER)).requireNewest()
  t.match(checkpoint.manifest, { ...FACTS, ...FIXTURE, shards: 2 })
  t.same(checkpoint.tensors().length, 4)
  for (const { variable, kind, values } of fixtureModel()) {
    const read = await readTensor(checkpoint, { variable, kind }, 0, values.length)
    t.ok(sameBits(read, values), `${kind} of ${variable}`)
  }
})

const missing = await python('-c', 'import safetensors, numpy').then(
  () => undefined,
  (error: unknown) => String(error),
)
const PYTHON_TITLE = 'Python: safetensors reads each shard, and the slices make the same tensors'

async function checkWithPython(t: Test, folder: string, model: readonly SampleTensor[]): Promise<void> {
  const read = JSON.parse(await python(join(FOLDER, 'read.py'), folder)) as Record<string, string>
  t.equal(Object.keys(read).length, model.length)
  for (const { variable, kind, values } of model) {
    t.equal(read[`${kind}:${variable}`], bytesOf(values).toString('hex'), `${kind} of ${variable}`)
  }
}

if (missing === undefined) {
  t.test(PYTHON_TITLE, async t => {
    await checkWithPython(t, join(FOLDER, STEP), fixtureModel())
    const model = sampleModel(5, [[300, 400], [1], [], [17, 3, 2]])
    const place = t.testdir()
    const attempt = await new CheckpointStore(new LocalFiles(place)).beginAttempt(1, 2)
    for (const [shard, tensors] of deal(model, 3, new SeededRandom(6)).entries()) {
      await attempt.writeShard(shard, 3, tensors)
    }
    await attempt.writeState(stateOf(1))
    await attempt.commit(FACTS)
    await checkWithPython(t, join(place, 'g0001/step-000000002'), model)
  })
} else if (process.env['CI'] === 'true') {
  t.fail(`${PYTHON_TITLE}: ${missing}\nrun: ${ENABLE}`)
} else {
  process.stderr.write(`SKIPPED: the shards were not read by Python. To enable: ${ENABLE}\n`)
  t.test(PYTHON_TITLE, { skip: `enable with: ${ENABLE}` }, async () => {})
}

const slices = fc.uniqueArray(
  fc
    .record({
      variable: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'a[0:2]', 'a', 'constructor')),
      kind: fc.constantFrom('weights', 'adam-0/m'),
      shape: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 }),
      from: fc.double({ min: 0, max: 0.99, noNaN: true }),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .map(({ from, part, shape, variable, kind }): SliceInfo => {
      const elements = shape.reduce((product, size) => product * size, 1)
      const offset = Math.floor(from * elements)
      return { variable, kind, shape, offset, length: Math.max(1, Math.floor(part * (elements - offset))) }
    }),
  { selector: ({ variable, kind }) => `${kind}:${variable}`, maxLength: 12 },
)

t.test(
  'Header: any slices are read back, each where its values begin, 8-byte aligned from the first',
  async () => {
    fc.assert(
      fc.property(slices, given => {
        const header = encodeShardHeader(given)
        const elements = given.reduce((sum, { length }) => sum + length, 0)
        const fileBytes = header.byteLength + elements * 4
        if (header.byteLength % 8 !== 0 || shardHeaderBytes(header, fileBytes) !== header.byteLength)
          return false
        const read = decodeShardHeader(header, fileBytes)
        let position = header.byteLength
        const expected = given.map(slice => {
          const at = position
          position += slice.length * 4
          return { ...slice, position: at }
        })
        return JSON.stringify(read) === JSON.stringify(expected)
      }),
    )
  },
)

t.test('Header: no flipped bit and no cut makes it throw, or point outside of the file', async t => {
  const file = await readFile(join(FOLDER, STEP, FILES[1]!))
  const length = shardHeaderBytes(file, file.length)!
  const look = (bytes: Uint8Array, fileBytes: number): boolean => {
    const header = shardHeaderBytes(bytes, fileBytes)
    if (header === undefined || header > bytes.length) return true
    const read = decodeShardHeader(bytes.subarray(0, header), fileBytes)
    if (typeof read === 'string') return read.length > 0
    return read.every(slice => slice.position >= header && slice.position + slice.length * 4 <= fileBytes)
  }
  const wrong: string[] = []
  for (let bit = 0; bit < length * 8; bit++) {
    const copy = Buffer.from(file)
    copy[bit >> 3]! ^= 1 << (bit & 7)
    if (!look(copy, file.length)) wrong.push(`bit ${bit}`)
  }
  for (let cut = 0; cut < file.length; cut++) if (!look(file.subarray(0, cut), cut)) wrong.push(`cut ${cut}`)
  t.same(wrong, [])
  const huge = Buffer.alloc(16, 0xff)
  t.equal(shardHeaderBytes(huge, 1e15), undefined, 'a length that would take all memory')
})

t.test('Manifest: every flipped bit, every cut and every other version is noticed', async t => {
  const good = Buffer.from(encodeManifest({ ...FACTS, generation: 1, step: 2, shards: 1, files: [] }))
  t.match(decodeManifest(good), { manifest: { generation: 1, step: 2, ...FACTS } })
  const unnoticed: string[] = []
  for (let bit = 0; bit < good.length * 8; bit++) {
    const copy = Buffer.from(good)
    copy[bit >> 3]! ^= 1 << (bit & 7)
    if (!('fault' in decodeManifest(copy))) unnoticed.push(`bit ${bit}`)
  }
  for (let cut = 0; cut < good.length; cut++) {
    if (!('fault' in decodeManifest(good.subarray(0, cut)))) unnoticed.push(`cut ${cut}`)
  }
  t.same(unnoticed, [])
  const body = good
    .toString('utf8')
    .replace(/^.*?"manifest":/, '')
    .slice(0, -2)
  t.match(decodeManifest(signed(body)), { manifest: { step: 2 } })
  t.match(decodeManifest(signed(body.replace('"version": 1', '"version": 2'))), {
    fault: 'version',
    what: 'the manifest has version 2; this Troupe reads 1',
  })
  t.match(decodeManifest(signed(body.replace('"step": 2', '"step": -2'))), {
    fault: 'damaged',
    what: /^the manifest's step is wrong: /,
  })
  t.match(decodeManifest(signed('[')), { what: 'the manifest is not JSON' })
})

/** A manifest with this content and the digest that belongs to it. */
function signed(body: string): Buffer {
  return Buffer.from(`{"sha256":"${createHash('sha256').update(body).digest('hex')}","manifest":${body}}\n`)
}

t.test('Streaming: shared memory is written through two small chunks, whatever the size', async t => {
  const values = new Float32Array(new SharedArrayBuffer(4 * 300_000)).map((_, i) => i)
  const sizes: number[] = []
  const buffers = new Set<ArrayBufferLike>()
  const parts: Buffer[] = []
  const sink: FileSink = {
    write: async bytes => {
      sizes.push(bytes.byteLength)
      buffers.add(bytes.buffer)
      parts.push(Buffer.from(bytes))
    },
    close: async () => undefined,
    abort: async () => undefined,
  }
  const slice = { variable: 'v', kind: 'weights', shape: [300_000], offset: 0, values }
  const { bytes, sha256 } = await streamShard(sink, [slice])
  const file = Buffer.concat(parts)
  t.ok(Math.max(...sizes) <= CHUNK_BYTES)
  t.equal(buffers.size, 2)
  t.equal(bytes, file.length)
  t.equal(sha256, createHash('sha256').update(file).digest('hex'))
  t.ok(file.subarray(-values.byteLength).equals(bytesOf(values)))
  const failing: FileSink = { ...sink, write: async () => Promise.reject(new Error('no more')) }
  await t.rejects(streamShard(failing, [slice]), { message: 'no more' })
})

t.test('Coverage: a gap, an overlap, another shape and a surplus are named', async t => {
  const part = (offset: number, length: number, shape = [10]): SliceInfo => ({
    variable: 'v',
    kind: 'weights',
    shape,
    offset,
    length,
  })
  t.equal(coverageFault([part(4, 6), part(0, 4)]), undefined)
  t.equal(coverageFault([part(0, 4), part(5, 5)]), 'weights:v lacks the elements 4 to 4')
  t.equal(coverageFault([part(0, 4)]), 'weights:v lacks the elements 4 to 9')
  t.equal(coverageFault([part(0, 4), part(3, 7)]), 'weights:v has the elements from 3 twice')
  t.equal(coverageFault([part(0, 4), part(4, 6, [5, 2])]), 'weights:v has the shapes [10] and [5, 2]')
  t.equal(coverageFault([part(0, 12)]), 'weights:v has 12 elements; its shape holds 10')
})

// On a real disk, a checkpoint of some 100 kB beside an older one.
const GRAIN = 4096
const SHAPES = [[4000], [3, 1000], [1]]

async function placeWithTwo(place: string): Promise<CheckpointStore> {
  const store = new CheckpointStore(new LocalFiles(place))
  for (const step of [10, 20]) {
    const attempt = await store.beginAttempt(1, step)
    const model = sampleModel(seedOf(1, step), SHAPES)
    for (const [shard, tensors] of deal(model, 2, new SeededRandom(step)).entries()) {
      await attempt.writeShard(shard, 2, tensors)
    }
    await attempt.writeState(stateOf(seedOf(1, step)))
    await attempt.commit(FACTS)
  }
  return store
}

t.test('Disk: each file cut at every 4 KiB, flipped, missing: named, the previous one is used', async t => {
  const place = t.testdir()
  const store = await placeWithTwo(place)
  const folder = join(place, 'g0001/step-000000020')
  const older = await store.verify((await store.list())[1]!)
  t.ok(older.ok && (await holds(older.checkpoint, seedOf(1, 10), SHAPES)))
  let cuts = 0

  /** Damages a file, looks, and mends it. */
  const damage = async (file: string, how: (path: string) => Promise<void>, what: object): Promise<void> => {
    const path = join(folder, file)
    const content = await readFile(path)
    await how(path)
    const { checkpoint, skipped } = await store.newest()
    t.match(checkpoint?.entry, { generation: 1, step: 10 })
    t.match(skipped, [{ generation: 1, step: 20, directory: 'g0001/step-000000020', file, ...what }])
    await writeFile(path, content)
  }

  for (const file of FILES) {
    const { length } = await readFile(join(folder, file))
    const manifest = file === 'manifest.json'
    for (const bytes of [...Array(Math.ceil(length / GRAIN)).keys()].map(i => i * GRAIN)) {
      cuts++
      await damage(file, path => truncate(path, bytes), {
        reason: manifest ? 'manifest-damaged' : 'file-length',
        what: manifest ? /cut short/ : `${file} has ${bytes} bytes; the manifest says ${length}`,
      })
    }
    for (const part of [0, 0.3, 0.7, 1]) {
      const flip = async (path: string): Promise<void> => {
        const content = await readFile(path)
        content[Math.floor(part * (length - 1))]! ^= 0x10
        await writeFile(path, content)
      }
      await damage(file, flip, { reason: manifest ? 'manifest-damaged' : 'file-digest' })
    }
    await damage(file, path => rm(path), { reason: manifest ? 'manifest-missing' : 'file-missing' })
    await damage(
      file,
      async path => writeFile(path, Buffer.concat([await readFile(path), Buffer.alloc(1)])),
      {
        reason: manifest ? 'manifest-damaged' : 'file-length',
      },
    )
  }
  t.ok(cuts > 20, `${cuts} cuts`)
  const { checkpoint, skipped } = await store.newest()
  t.equal(checkpoint?.entry.step, 20, 'mended')
  t.same(skipped, [])
})

t.test('Disk: a half-written attempt and stray files are not taken for checkpoints', async t => {
  const place = t.testdir()
  const store = await placeWithTwo(place)
  const half = join(place, 'g0001/.tmp/step-000000030.0123456789abcdef')
  await cp(join(place, 'g0001/step-000000020'), half, { recursive: true })
  await truncate(join(half, FILES[1]!), 100)
  await writeFile(join(place, 'g0001/step-000000040'), 'a file')
  await cp(half, join(place, 'g0001/step-30'), { recursive: true })
  await cp(half, join(place, 'g1/step-000000030'), { recursive: true })
  await writeFile(join(place, 'notes.txt'), 'mine')
  const { checkpoint, skipped } = await store.newest()
  t.equal(checkpoint?.entry.directory, 'g0001/step-000000020')
  t.same(skipped, [])
  // A checkpoint under another's name is none.
  await cp(join(place, 'g0001/step-000000020'), join(place, 'g0001/step-000000050'), { recursive: true })
  t.match((await store.newest()).skipped, [
    { step: 50, reason: 'manifest-damaged', what: 'the manifest is of generation 1, step 20' },
  ])
})
