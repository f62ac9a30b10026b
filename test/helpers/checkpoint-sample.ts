// Models made by chance, dealt onto shards by chance, written to and read from places with checkpoints.
import { SeededRandom, type Random } from '../../src/determinism/index.js'
import type {
  Checkpoint,
  CheckpointAttempt,
  CheckpointStore,
  CommitOutcome,
  ManifestFacts,
  TensorKey,
  TensorSlice,
} from '../../src/checkpoint/index.js'

export const FACTS: ManifestFacts = {
  job: 'sample',
  epoch: 2,
  incarnation: 1,
  savedAtMs: 1_790_000_000_000,
  layout: { shards: 2 },
  fingerprint: { backend: 'js' },
  versions: { troupe: '0.1.0' },
}

export interface SampleTensor extends TensorKey {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

const KINDS = ['weights', 'adam-0/m', 'adam-0/v']

/** Weights and two slots for variables of these shapes; the seed makes the values. */
export function sampleModel(
  seed: number,
  shapes: readonly (readonly number[])[] = [[7, 5], [], [33]],
): SampleTensor[] {
  const random = new SeededRandom(seed)
  return KINDS.flatMap(kind =>
    shapes.map((shape, index) => {
      const length = shape.reduce((count, size) => count * size, 1)
      const values = new Float32Array(new SharedArrayBuffer(length * 4)).map(() => random.next() - 0.5)
      return { variable: `layer-${index}/kernel`, kind, shape, values }
    }),
  )
}

/** Cuts each tensor at a few places and gives the pieces to shards. */
export function deal(model: readonly SampleTensor[], shards: number, random: Random): TensorSlice[][] {
  const dealt: TensorSlice[][] = Array.from({ length: shards }, () => [])
  for (const { variable, kind, shape, values } of model) {
    const cuts = Array.from({ length: random.below(shards + 1) }, () => random.below(values.length + 1))
    const borders = [...new Set([0, ...cuts, values.length])].sort((a, b) => a - b)
    for (const [index, offset] of borders.slice(0, -1).entries()) {
      const part = values.subarray(offset, borders[index + 1])
      dealt[random.below(shards)]!.push({ variable, kind, shape, offset, values: part })
    }
  }
  return dealt
}

export const stateOf = (seed: number): Uint8Array => Buffer.from(`state of ${seed}`.repeat(20))

/** Writes shards and state of the model that `seed` makes. */
export async function write(attempt: CheckpointAttempt, seed: number, shards = 2): Promise<void> {
  const dealt = deal(sampleModel(seed), shards, new SeededRandom(seed))
  for (const [shard, tensors] of dealt.entries()) await attempt.writeShard(shard, shards, tensors)
  await attempt.writeState(stateOf(seed))
}

export async function save(
  store: CheckpointStore,
  generation: number,
  step: number,
  seed = seedOf(generation, step),
): Promise<CommitOutcome> {
  const attempt = await store.beginAttempt(generation, step)
  try {
    await write(attempt, seed)
  } catch (error) {
    await attempt.abort()
    throw error
  }
  return attempt.commit(FACTS)
}

/** What a checkpoint holds unless a test says otherwise. */
export const seedOf = (generation: number, step: number): number => generation * 1000 + step

/** Does it hold, bit for bit, what this seed makes? */
export async function holds(
  checkpoint: Checkpoint,
  seed: number,
  shapes?: readonly (readonly number[])[],
): Promise<boolean> {
  const state = await checkpoint.readState()
  if (!Buffer.from(state).equals(stateOf(seed))) return false
  for (const { variable, kind, values } of sampleModel(seed, shapes)) {
    const read = await readTensor(checkpoint, { variable, kind }, 0, values.length)
    if (!sameBits(read, values)) return false
  }
  return true
}

/** Elements `[offset, offset + length)` of a tensor, in an array of their own. */
export async function readTensor(
  checkpoint: Checkpoint,
  key: TensorKey,
  offset: number,
  length: number,
): Promise<Float32Array> {
  const into = new Float32Array(length)
  await checkpoint.load([{ ...key, offset, into }])
  return into
}

export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && bytesOf(a).equals(bytesOf(b))
}

/** A copy: the values may lie in shared memory. */
export function bytesOf(values: Float32Array): Buffer {
  return Buffer.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

/** What lies in test/fixtures/checkpoint: values that can be told by looking, split over two shards. */
export const FIXTURE = { generation: 3, step: 7 } as const

export function fixtureModel(): SampleTensor[] {
  const count = (length: number, by: number): Float32Array => Float32Array.from({ length }, (_, i) => i * by)
  return [
    { variable: 'dense/kernel', kind: 'weights', shape: [3, 4], values: count(12, 0.5) },
    { variable: 'dense/bias', kind: 'weights', shape: [3], values: Float32Array.of(NaN, -Infinity, 1e-45) },
    { variable: 'scale', kind: 'weights', shape: [], values: Float32Array.of(-0) },
    { variable: 'größe [0:1]', kind: 'adam-0/m', shape: [5], values: count(5, -1) },
  ]
}

export async function writeFixture(
  store: CheckpointStore,
  { generation, step }: { generation: number; step: number },
): Promise<CommitOutcome> {
  const [kernel, ...others] = fixtureModel() as [SampleTensor, ...SampleTensor[]]
  const part = (from: number, to: number): TensorSlice => {
    const { values, ...rest } = kernel
    return { ...rest, offset: from, values: values.subarray(from, to) }
  }
  const attempt = await store.beginAttempt(generation, step)
  await attempt.writeShard(0, 2, [part(0, 8), ...others.slice(0, 1).map(whole)])
  await attempt.writeShard(1, 2, [part(8, 12), ...others.slice(1).map(whole)])
  // msgpack of {"seed": 1}
  await attempt.writeState(Uint8Array.of(0x81, 0xa4, 0x73, 0x65, 0x65, 0x64, 0x01))
  return attempt.commit(FACTS)
}

function whole({ variable, kind, shape, values }: SampleTensor): TensorSlice {
  return { variable, kind, shape, offset: 0, values }
}
