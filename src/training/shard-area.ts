import { Bell } from './bell.js'
import { BufferPlan, checkMagic, WORDS_PER_LINE } from './shared-layout.js'

const MAGIC = 0x54525341 // "TRSA"

const Word = { magic: 0, generation: 1, shard: 2, elements: 3, outputs: 4, retired: 5 } as const
/** On lines of their own: ranks wait on the version while others ring the bell. */
const VERSION = WORDS_PER_LINE
const BELL = 2 * WORDS_PER_LINE
const HEADER_WORDS = 3 * WORDS_PER_LINE

/** How a wait for a version ended. */
export type VersionWait = 'closed' | 'retired'

/**
 * The memory of one shard that every worker of its machine reads: two versions of its weights, and with each the
 * answer of the step that made it. Version t lies in buffer t mod 2 and is overwritten only when step t + 1 closes.
 *
 * Layout, little-endian, parts on 64-byte lines: header of three lines (line 0: magic, generation, shard, elements,
 * outputs, retired; line 1: version; line 2: bell), answers (2 x [rows as float64, then outputs as float32]), weights
 * (2 x elements as float32).
 */
export class ShardArea {
  readonly buffer: SharedArrayBuffer
  readonly generation: number
  readonly shard: number
  readonly elements: number
  /** Rung by a worker after each commit. */
  readonly bell: Bell
  readonly #words: Int32Array
  readonly #rows: readonly Float64Array[]
  readonly #outputs: readonly Float32Array[]
  readonly #weights: readonly Float32Array[]

  static create(shape: { generation: number; shard: number; elements: number; outputs: number }): ShardArea {
    const buffer = new SharedArrayBuffer(plan(shape.elements, shape.outputs).bytes)
    const words = new Int32Array(buffer, 0, HEADER_WORDS)
    words[Word.magic] = MAGIC
    words[Word.generation] = shape.generation
    words[Word.shard] = shape.shard
    words[Word.elements] = shape.elements
    words[Word.outputs] = shape.outputs
    return new ShardArea(buffer)
  }

  constructor(buffer: SharedArrayBuffer) {
    const words = new Int32Array(buffer, 0, HEADER_WORDS)
    checkMagic(words, MAGIC, 'shard area')
    this.buffer = buffer
    this.#words = words
    this.generation = words[Word.generation]!
    this.shard = words[Word.shard]!
    this.elements = words[Word.elements]!
    const outputs = words[Word.outputs]!
    const { answers, weights } = plan(this.elements, outputs)
    this.#rows = answers.map(at => new Float64Array(buffer, at, 1))
    this.#outputs = answers.map(at => new Float32Array(buffer, at + Float64Array.BYTES_PER_ELEMENT, outputs))
    this.#weights = weights.map(at => new Float32Array(buffer, at, this.elements))
    this.bell = new Bell(words, BELL)
  }

  /** The newest version; the one before it is still there. */
  get version(): number {
    return Atomics.load(this.#words, VERSION)
  }

  weights(version: number): Float32Array {
    return this.#weights[version % 2]!
  }

  /** Global loss and metrics of the step that made this version; on shard 0. */
  outputs(version: number): Float32Array {
    return this.#outputs[version % 2]!
  }

  /** Rows of the step that made this version, over all ranks. */
  rows(version: number): number {
    return this.#rows[version % 2]![0]!
  }

  /** Makes a version visible, whose weights and outputs have been written, and wakes who waits for it. */
  publish(version: number, rows: number): void {
    this.#rows[version % 2]![0] = rows
    Atomics.store(this.#words, VERSION, version)
    Atomics.notify(this.#words, VERSION)
  }

  /** Blocks the calling thread until the version is there, or the area is retired. */
  waitForVersion(version: number): VersionWait {
    for (;;) {
      const seen = Atomics.load(this.#words, VERSION)
      // Checked after the version was read: retire() changes the word that is waited on.
      if (Atomics.load(this.#words, Word.retired) !== 0) return 'retired'
      if (seen >= version) return 'closed'
      Atomics.wait(this.#words, VERSION, seen)
    }
  }

  /** No version follows: every wait ends with 'retired'. */
  retire(): void {
    Atomics.store(this.#words, Word.retired, 1)
    Atomics.store(this.#words, VERSION, RETIRED_VERSION)
    Atomics.notify(this.#words, VERSION)
  }
}

const RETIRED_VERSION = -1

function plan(elements: number, outputs: number): { answers: number[]; weights: number[]; bytes: number } {
  const parts = new BufferPlan()
  parts.take(HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT)
  const answerBytes = Float64Array.BYTES_PER_ELEMENT + outputs * Float32Array.BYTES_PER_ELEMENT
  const answers = [parts.take(answerBytes), parts.take(answerBytes)]
  const weightBytes = elements * Float32Array.BYTES_PER_ELEMENT
  const weights = [parts.take(weightBytes), parts.take(weightBytes)]
  return { answers, weights, bytes: parts.bytes }
}
