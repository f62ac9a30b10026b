import { BufferPlan, checkMagic, WORDS_PER_LINE } from './shared-layout.js'
import { STEP_PHASES, type PhaseTimes, type StepPhase } from './step-phase.js'

const MAGIC = 0x54525852 // "TRXR"

const Word = {
  magic: 0,
  generation: 1,
  incarnation: 2,
  rank: 3,
  shards: 4,
  outputs: 5,
  step: 6,
  optimizer: 7,
} as const

/** Of a shard's line: the commit word, then where the values for this shard lie. */
const ShardWord = { commit: 0, elements: 1 } as const

/** What a region is made for. */
export interface RegionShape {
  readonly generation: number
  readonly incarnation: number
  readonly rank: number
  /** Elements of each shard's buffers, as the layout says. */
  readonly shardElements: readonly number[]
  /** How many values a step returns: loss and metrics. */
  readonly outputs: number
}

/** What accompanies the values of a push. */
export interface PushRecord {
  readonly step: number
  /** Rows that the values are a mean of; 0: they weigh nothing and are not read. */
  readonly rows: number
  /** Index of the optimizer that made the gradient. */
  readonly optimizer: number
}

/**
 * The memory in which one incarnation of a rank's worker leaves its pushes: for each shard a commit word and the
 * values for its slices (a gradient, or for state the state itself), and once for all shards step, rows, optimizer,
 * loss and metrics.
 *
 * A push of step t is written whole, then committed shard by shard by storing t + 1 in the shard's commit word. It
 * stays until every shard has made version t + 1, since only then does its writer go on; if its writer dies, for
 * ever. So a shard may read it at leisure, and nobody has to take it back.
 *
 * Layout, little-endian, parts on 64-byte lines: header (magic, generation, incarnation, rank, shards, outputs, step,
 * optimizer), a line for each shard (commit, elements), rows (float64), outputs (float32), phase times (float64,
 * milliseconds), then the values for each shard (float32).
 */
export class ExchangeRegion {
  readonly buffer: SharedArrayBuffer
  readonly generation: number
  readonly incarnation: number
  readonly rank: number
  /** Loss and metrics of the push. */
  readonly outputs: Float32Array
  readonly #words: Int32Array
  readonly #rows: Float64Array
  readonly #phases: Float64Array
  readonly #values: readonly Float32Array[]

  static create(shape: RegionShape): ExchangeRegion {
    const buffer = new SharedArrayBuffer(plan(shape.shardElements, shape.outputs).bytes)
    const words = new Int32Array(buffer, 0, (1 + shape.shardElements.length) * WORDS_PER_LINE)
    words[Word.magic] = MAGIC
    words[Word.generation] = shape.generation
    words[Word.incarnation] = shape.incarnation
    words[Word.rank] = shape.rank
    words[Word.shards] = shape.shardElements.length
    words[Word.outputs] = shape.outputs
    for (const [shard, elements] of shape.shardElements.entries()) {
      words[shardLine(shard) + ShardWord.elements] = elements
    }
    return new ExchangeRegion(buffer)
  }

  constructor(buffer: SharedArrayBuffer) {
    const header = new Int32Array(buffer, 0, WORDS_PER_LINE)
    checkMagic(header, MAGIC, 'exchange region')
    const shards = header[Word.shards]!
    this.buffer = buffer
    this.generation = header[Word.generation]!
    this.incarnation = header[Word.incarnation]!
    this.rank = header[Word.rank]!
    const words = new Int32Array(buffer, 0, (1 + shards) * WORDS_PER_LINE)
    this.#words = words
    const sizes = Array.from({ length: shards }, (_, shard) => words[shardLine(shard) + ShardWord.elements]!)
    const outputs = header[Word.outputs]!
    const parts = plan(sizes, outputs)
    this.#rows = new Float64Array(buffer, parts.rows, 1)
    this.outputs = new Float32Array(buffer, parts.outputs, outputs)
    this.#phases = new Float64Array(buffer, parts.phases, STEP_PHASES.length)
    this.#values = sizes.map((elements, shard) => new Float32Array(buffer, parts.values[shard], elements))
  }

  get shards(): number {
    return this.#values.length
  }

  /** Where the values for a shard are written and read, by the layout's positions. */
  values(shard: number): Float32Array {
    return this.#values[shard]!
  }

  /** Writes the record; values and outputs lie there already. Nothing is visible before {@link commit}. */
  stage(record: PushRecord): void {
    this.#words[Word.step] = record.step
    this.#words[Word.optimizer] = record.optimizer
    this.#rows[0] = record.rows
  }

  /** Makes the staged push visible to one shard. */
  commit(shard: number): void {
    Atomics.store(this.#words, shardLine(shard) + ShardWord.commit, this.#words[Word.step]! + 1)
  }

  /** The step committed to a shard last, or -1. */
  committed(shard: number): number {
    return Atomics.load(this.#words, shardLine(shard) + ShardWord.commit) - 1
  }

  /** To be read only after {@link committed} has shown the step. */
  record(): PushRecord {
    return { step: this.#words[Word.step]!, rows: this.#rows[0]!, optimizer: this.#words[Word.optimizer]! }
  }

  /** Adds to the time that this incarnation spent in a phase. */
  spend(phase: StepPhase, milliseconds: number): void {
    const at = STEP_PHASES.indexOf(phase)
    this.#phases[at] = this.#phases[at]! + milliseconds
  }

  /** For reports: a step that is under way is counted in part. */
  phases(): PhaseTimes {
    const times = Object.fromEntries(STEP_PHASES.map((phase, i) => [phase, this.#phases[i]!]))
    return times as Record<StepPhase, number>
  }
}

function shardLine(shard: number): number {
  return (1 + shard) * WORDS_PER_LINE
}

function plan(
  shardElements: readonly number[],
  outputs: number,
): { rows: number; outputs: number; phases: number; values: number[]; bytes: number } {
  const parts = new BufferPlan()
  parts.take((1 + shardElements.length) * WORDS_PER_LINE * Int32Array.BYTES_PER_ELEMENT)
  return {
    rows: parts.take(Float64Array.BYTES_PER_ELEMENT),
    outputs: parts.take(outputs * Float32Array.BYTES_PER_ELEMENT),
    phases: parts.take(STEP_PHASES.length * Float64Array.BYTES_PER_ELEMENT),
    values: shardElements.map(elements => parts.take(elements * Float32Array.BYTES_PER_ELEMENT)),
    bytes: parts.bytes,
  }
}
