import { atomicBells, type Bell, type Bells } from './bell.js'
import { BufferPlan, checkMagic, WORDS_PER_LINE } from './shared-layout.js'

const MAGIC = 0x54525341 // "TRSA"

const Word = { magic: 0, generation: 1, shard: 2, ranks: 3, retired: 4 } as const
/** On a line of their own: ranks wait on the pulse while others ring the bell. */
const VERSION = WORDS_PER_LINE
const PULSE = WORDS_PER_LINE + 1
const FLOOR = WORDS_PER_LINE + 2
const MARKER = WORDS_PER_LINE + 3
const BELL = 2 * WORDS_PER_LINE
/** Of the answer with each version, by version mod 2: the part, and the version that is to be cut. */
const ANSWER_PARTS = 3 * WORDS_PER_LINE
const ANSWER_CUTS = 3 * WORDS_PER_LINE + 2
const HEADER_WORDS = 4 * WORDS_PER_LINE

/** The most values that a step may return: loss and metrics. */
export const MAX_OUTPUTS = 256

/** How a wait ended. */
export type AreaWait = 'there' | 'retired'

/** What a shard answers with a version: about the step that made it. */
export interface Answer {
  readonly part: number
  /** Rows over all ranks. */
  readonly rows: number
  /** The version, not yet made, that is to be cut next; 0 if none is known. */
  readonly cutAt: number
}

/**
 * The words through which one shard speaks to the workers of its machine: which version is there, and what it
 * answers to the step that made it. Values lie in the shard's memory.
 *
 * Layout, little-endian, parts on 64-byte lines: header of four lines (line 0: magic, generation, shard, ranks,
 * retired; line 1: version, pulse, floor, marker; line 2: bell; line 3: parts and cuts of two answers), steps applied
 * of each rank (int32), rows of two answers (float64), outputs of two answers (float32).
 */
export class ShardArea {
  readonly buffer: SharedArrayBuffer
  readonly generation: number
  readonly shard: number
  readonly ranks: number
  /** Rung by a worker after each commit. */
  readonly bell: Bell
  /** Rung by the shard whenever something here has changed. */
  readonly pulse: Bell
  readonly #words: Int32Array
  readonly #applied: Int32Array
  readonly #rows: Float64Array
  readonly #outputs: readonly Float32Array[]

  static create(
    shape: { readonly generation: number; readonly shard: number; readonly ranks: number },
    bells: Bells = atomicBells,
  ): ShardArea {
    const buffer = new SharedArrayBuffer(plan(shape.ranks).bytes)
    const words = new Int32Array(buffer, 0, HEADER_WORDS)
    words[Word.magic] = MAGIC
    words[Word.generation] = shape.generation
    words[Word.shard] = shape.shard
    words[Word.ranks] = shape.ranks
    return new ShardArea(buffer, bells)
  }

  constructor(buffer: SharedArrayBuffer, bells: Bells = atomicBells) {
    const words = new Int32Array(buffer, 0, HEADER_WORDS)
    checkMagic(words, MAGIC, 'shard area')
    this.buffer = buffer
    this.#words = words
    this.generation = words[Word.generation]!
    this.shard = words[Word.shard]!
    this.ranks = words[Word.ranks]!
    const parts = plan(this.ranks)
    this.#applied = new Int32Array(buffer, parts.applied, this.ranks)
    this.#rows = new Float64Array(buffer, parts.rows, 2)
    this.#outputs = parts.outputs.map(at => new Float32Array(buffer, at, MAX_OUTPUTS))
    this.bell = bells(words, BELL)
    this.pulse = bells(words, PULSE)
  }

  /** The newest version. */
  get version(): number {
    return Atomics.load(this.#words, VERSION)
  }

  get retired(): boolean {
    return Atomics.load(this.#words, Word.retired) !== 0
  }

  /** Steps of a rank that are in the newest version. */
  applied(rank: number): number {
    return Atomics.load(this.#applied, rank)
  }

  /** Where ranks may differ: the fewest steps that a live rank has made. */
  get floor(): number {
    return Atomics.load(this.#words, FLOOR)
  }

  /** Of the cut for which ranks are to stop; 0: go on. */
  get marker(): number {
    return Atomics.load(this.#words, MARKER)
  }

  /** The answer that came with a version: that one, until two later ones are there. */
  answer(version: number): Answer {
    const side = version % 2
    return {
      part: this.#words[ANSWER_PARTS + side]!,
      rows: this.#rows[side]!,
      cutAt: this.#words[ANSWER_CUTS + side]!,
    }
  }

  /** Where the loss and metrics lie that go with a version's answer. */
  outputs(version: number, count: number): Float32Array {
    return this.#outputs[version % 2]!.subarray(0, count)
  }

  // by the shard alone

  setAnswer(version: number, { part, rows, cutAt }: Answer): void {
    const side = version % 2
    this.#words[ANSWER_PARTS + side] = part
    this.#rows[side] = rows
    this.#words[ANSWER_CUTS + side] = cutAt
  }

  setApplied(rank: number, steps: number): void {
    Atomics.store(this.#applied, rank, steps)
  }

  setFloor(steps: number): void {
    Atomics.store(this.#words, FLOOR, steps)
  }

  setMarker(marker: number): void {
    Atomics.store(this.#words, MARKER, marker)
    this.pulse.ring()
  }

  /** Makes a version visible that has been written whole, and wakes who waits for it. */
  publish(version: number): void {
    Atomics.store(this.#words, VERSION, version)
    this.pulse.ring()
  }

  /** No version follows: every wait ends. */
  retire(): void {
    Atomics.store(this.#words, Word.retired, 1)
    this.pulse.ring()
  }

  // by workers

  /** Blocks the calling thread until the condition holds, or the area is retired. */
  waitUntil(holds: (area: this) => boolean): AreaWait {
    for (;;) {
      const seen = Atomics.load(this.#words, PULSE)
      // Looked at after the pulse was read: whatever changes them changes the word that is waited on.
      if (this.retired) return 'retired'
      if (holds(this)) return 'there'
      Atomics.wait(this.#words, PULSE, seen)
    }
  }
}

function plan(ranks: number): { applied: number; rows: number; outputs: number[]; bytes: number } {
  const parts = new BufferPlan()
  parts.take(HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT)
  const applied = parts.take(ranks * Int32Array.BYTES_PER_ELEMENT)
  const rows = parts.take(2 * Float64Array.BYTES_PER_ELEMENT)
  const outputBytes = MAX_OUTPUTS * Float32Array.BYTES_PER_ELEMENT
  const outputs = [parts.take(outputBytes), parts.take(outputBytes)]
  return { applied, rows, outputs, bytes: parts.bytes }
}
