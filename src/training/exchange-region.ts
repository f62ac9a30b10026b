import { MAX_OUTPUTS } from './shard-area.js'
import { BufferPlan, checkMagic, WORDS_PER_LINE } from './shared-layout.js'
import { STEP_PHASES, type PhaseTimes, type StepPhase } from './step-phase.js'

const MAGIC = 0x54525852 // "TRXR"

const Word = {
  magic: 0,
  generation: 1,
  incarnation: 2,
  rank: 3,
  shards: 4,
  step: 5,
  part: 6,
  outputs: 7,
  cutAt: 8,
  halted: 9,
  exited: 10,
} as const

/** A shard's line holds its commit word. */
const HEADER_LINES = 1

/** Of {@link ExchangeRegion.halted}: the rank waits for something else, and looks for a marker before it goes on. */
export const PARKED = -1

/** What a region is made for. */
export interface RegionShape {
  readonly generation: number
  readonly incarnation: number
  readonly rank: number
  readonly shards: number
}

/** What accompanies the values of a push. */
export interface PushRecord {
  readonly step: number
  /** Number of the part of the model that the step trains. */
  readonly part: number
  /** Rows that the values are a mean of; 0: they weigh nothing and are not read. */
  readonly rows: number
  /** The version to cut that the answer to the step before named; 0 for none. */
  readonly cutAt: number
}

/**
 * What one incarnation of a rank's worker says beside the values of its pushes, which lie in the shards' memories:
 * for each shard a commit word, and once for all shards step, part, rows, loss and metrics.
 *
 * A push of step t is written whole, then committed shard by shard by storing t + 1 in the shard's commit word. It
 * stays until every shard has answered it, since only then does its writer go on; if its writer dies, for ever. So a
 * shard may read it at leisure, and nobody has to take it back.
 *
 * Layout, little-endian, parts on 64-byte lines: header (magic, generation, incarnation, rank, shards, step, part,
 * number of outputs, cut, halted, exited), a line for each shard (commit), rows (float64), outputs (float32), phase
 * times (float64, milliseconds).
 */
export class ExchangeRegion {
  readonly buffer: SharedArrayBuffer
  readonly generation: number
  readonly incarnation: number
  readonly rank: number
  readonly shards: number
  readonly #words: Int32Array
  readonly #rows: Float64Array
  readonly #outputs: Float32Array
  readonly #phases: Float64Array

  static create(shape: RegionShape): ExchangeRegion {
    const buffer = new SharedArrayBuffer(plan(shape.shards).bytes)
    const words = new Int32Array(buffer, 0, WORDS_PER_LINE)
    words[Word.magic] = MAGIC
    words[Word.generation] = shape.generation
    words[Word.incarnation] = shape.incarnation
    words[Word.rank] = shape.rank
    words[Word.shards] = shape.shards
    return new ExchangeRegion(buffer)
  }

  constructor(buffer: SharedArrayBuffer) {
    const header = new Int32Array(buffer, 0, WORDS_PER_LINE)
    checkMagic(header, MAGIC, 'exchange region')
    this.buffer = buffer
    this.generation = header[Word.generation]!
    this.incarnation = header[Word.incarnation]!
    this.rank = header[Word.rank]!
    this.shards = header[Word.shards]!
    const parts = plan(this.shards)
    this.#words = new Int32Array(buffer, 0, (HEADER_LINES + this.shards) * WORDS_PER_LINE)
    this.#rows = new Float64Array(buffer, parts.rows, 1)
    this.#outputs = new Float32Array(buffer, parts.outputs, MAX_OUTPUTS)
    this.#phases = new Float64Array(buffer, parts.phases, STEP_PHASES.length)
  }

  // by the worker's program

  /** Writes record, loss and metrics; the values lie in place already. Nothing is visible before {@link commit}. */
  stage(record: PushRecord, outputs: ArrayLike<number>): void {
    this.#words[Word.step] = record.step
    this.#words[Word.part] = record.part
    this.#words[Word.cutAt] = record.cutAt
    this.#words[Word.outputs] = outputs.length
    this.#rows[0] = record.rows
    this.#outputs.set(outputs)
  }

  /** Makes the staged push visible to one shard. */
  commit(shard: number): void {
    Atomics.store(this.#words, shardLine(shard), this.#words[Word.step]! + 1)
  }

  /** The marker that the rank has stopped for, {@link PARKED}, or 0 while it goes on. */
  set halted(marker: number) {
    Atomics.store(this.#words, Word.halted, marker)
  }

  get halted(): number {
    return Atomics.load(this.#words, Word.halted)
  }

  /** Adds to the time that this incarnation spent in a phase. */
  spend(phase: StepPhase, milliseconds: number): void {
    const at = STEP_PHASES.indexOf(phase)
    this.#phases[at] = this.#phases[at]! + milliseconds
  }

  // by whoever ran the program

  /** The program's thread is gone: nothing is written any more, here or in the memory of a shard. */
  markExited(): void {
    Atomics.store(this.#words, Word.exited, 1)
  }

  // by shards

  get exited(): boolean {
    return Atomics.load(this.#words, Word.exited) !== 0
  }

  /** The step committed to a shard last, or -1. */
  committed(shard: number): number {
    return Atomics.load(this.#words, shardLine(shard)) - 1
  }

  /** To be read only after {@link committed} has shown the step. */
  record(): PushRecord {
    return {
      step: this.#words[Word.step]!,
      part: this.#words[Word.part]!,
      rows: this.#rows[0]!,
      cutAt: this.#words[Word.cutAt]!,
    }
  }

  /** Loss and metrics of the push. */
  outputs(): Float32Array {
    return this.#outputs.subarray(0, this.#words[Word.outputs])
  }

  /** For reports: a step that is under way is counted in part. */
  phases(): PhaseTimes {
    const times = Object.fromEntries(STEP_PHASES.map((phase, i) => [phase, this.#phases[i]!]))
    return times as Record<StepPhase, number>
  }
}

function shardLine(shard: number): number {
  return (HEADER_LINES + shard) * WORDS_PER_LINE
}

function plan(shards: number): { rows: number; outputs: number; phases: number; bytes: number } {
  const parts = new BufferPlan()
  parts.take((HEADER_LINES + shards) * WORDS_PER_LINE * Int32Array.BYTES_PER_ELEMENT)
  return {
    rows: parts.take(Float64Array.BYTES_PER_ELEMENT),
    outputs: parts.take(MAX_OUTPUTS * Float32Array.BYTES_PER_ELEMENT),
    phases: parts.take(STEP_PHASES.length * Float64Array.BYTES_PER_ELEMENT),
    bytes: parts.bytes,
  }
}
