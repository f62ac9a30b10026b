import { atomicBells, type Bell, type Bells } from './bell.js'
import { BufferPlan, checkMagic, WORDS_PER_LINE } from './shared-layout.js'

const MAGIC = 0x54524252 // "TRBR"

const Word = { magic: 0, slots: 1, maxRows: 2, xElements: 3, yElements: 4, closed: 5 } as const
/** The consumer's line: what it wants next since its last jump, and how many batches it has taken. */
const WANTED_EPOCH = WORDS_PER_LINE
const WANTED_ORDINAL = WORDS_PER_LINE + 1
const JUMPS = WORDS_PER_LINE + 2
const TAKEN = WORDS_PER_LINE + 3
/** The producer's line. */
const FILLED = 2 * WORDS_PER_LINE
const BELL = 3 * WORDS_PER_LINE
const HEADER_WORDS = 4 * WORDS_PER_LINE

const SlotWord = { jump: 0, epoch: 1, ordinal: 2, rows: 3 } as const

/** Batches that a feeder may have ready for a worker beyond the one in use. */
export const DEFAULT_RING_SLOTS = 4

export interface RingShape {
  readonly slots: number
  /** Rows of the largest batch. */
  readonly maxRows: number
  /** Numbers in one row of features. */
  readonly xElements: number
  readonly yElements: number
}

/** Where a batch stands in its dataset. */
export interface BatchAddress {
  readonly epoch: number
  /** From 0, within the epoch. */
  readonly ordinal: number
}

/** A batch in its slot: the arrays are views that hold `maxRows` rows, of which `rows` count. */
export interface RingBatch extends BatchAddress {
  /** 0: nothing is left for this rank in this step. */
  readonly rows: number
  readonly xs: Float32Array
  readonly ys: Float32Array
}

interface RingSlot {
  readonly words: Int32Array
  readonly xs: Float32Array
  readonly ys: Float32Array
}

/**
 * Shared memory through which a feeder hands batches to one worker: one writer, one reader, a fixed number of slots.
 * The reader's free slots are the writer's credit. The reader names the batch it wants first (a jump); from there on
 * the writer fills in order. Slots that were filled before the last jump are skipped.
 *
 * Layout, little-endian, parts on 64-byte lines: header of four lines (shape and closed; wanted epoch and ordinal,
 * jumps, taken; filled; bell), then for each slot a line (jump, epoch, ordinal, rows), features and labels (float32).
 */
export class BatchRing {
  readonly buffer: SharedArrayBuffer
  readonly shape: RingShape
  /** Rung by the reader when it jumps or frees a slot. */
  readonly bell: Bell
  readonly #words: Int32Array
  readonly #slots: readonly RingSlot[]

  static create(shape: RingShape, bells: Bells = atomicBells): BatchRing {
    const buffer = new SharedArrayBuffer(plan(shape).bytes)
    const words = new Int32Array(buffer, 0, HEADER_WORDS)
    words[Word.magic] = MAGIC
    words[Word.slots] = shape.slots
    words[Word.maxRows] = shape.maxRows
    words[Word.xElements] = shape.xElements
    words[Word.yElements] = shape.yElements
    return new BatchRing(buffer, bells)
  }

  constructor(buffer: SharedArrayBuffer, bells: Bells = atomicBells) {
    const words = new Int32Array(buffer, 0, HEADER_WORDS)
    checkMagic(words, MAGIC, 'batch ring')
    this.buffer = buffer
    this.#words = words
    const shape = {
      slots: words[Word.slots]!,
      maxRows: words[Word.maxRows]!,
      xElements: words[Word.xElements]!,
      yElements: words[Word.yElements]!,
    }
    this.shape = shape
    this.#slots = plan(shape).slots.map(slot => ({
      words: new Int32Array(buffer, slot.words, WORDS_PER_LINE),
      xs: new Float32Array(buffer, slot.xs, shape.maxRows * shape.xElements),
      ys: new Float32Array(buffer, slot.ys, shape.maxRows * shape.yElements),
    }))
    this.bell = bells(words, BELL)
  }

  // reader

  /** From now on the next batch is this one. */
  jump({ epoch, ordinal }: BatchAddress): void {
    Atomics.store(this.#words, WANTED_EPOCH, epoch)
    Atomics.store(this.#words, WANTED_ORDINAL, ordinal)
    Atomics.add(this.#words, JUMPS, 1)
    this.bell.ring()
  }

  /**
   * The next batch; blocks the calling thread until it is there. To be read before {@link release}, which must
   * follow. Undefined once the writer has closed the ring.
   */
  take(): RingBatch | undefined {
    for (;;) {
      const filled = Atomics.load(this.#words, FILLED)
      const batch = this.poll()
      if (batch !== undefined) return batch === 'closed' ? undefined : batch
      // Whatever was filled since changed this word, as closing does.
      Atomics.wait(this.#words, FILLED, filled)
    }
  }

  /** As {@link take}, but does not wait: undefined while there is none, 'closed' once the writer has closed the ring. */
  poll(): RingBatch | 'closed' | undefined {
    if (Atomics.load(this.#words, Word.closed) !== 0) return 'closed'
    while (Atomics.load(this.#words, TAKEN) !== Atomics.load(this.#words, FILLED)) {
      const slot = this.#slots[Atomics.load(this.#words, TAKEN) % this.shape.slots]!
      if (slot.words[SlotWord.jump] === Atomics.load(this.#words, JUMPS)) return batchOf(slot)
      this.release()
    }
    return undefined
  }

  /** Gives the slot of the batch that was taken back to the writer. */
  release(): void {
    Atomics.add(this.#words, TAKEN, 1)
    this.bell.ring()
  }

  // writer

  /** How often the reader has jumped; 0: it wants nothing yet. */
  get jumps(): number {
    return Atomics.load(this.#words, JUMPS)
  }

  /** Where the reader's last jump led. If it jumps meanwhile, {@link jumps} has grown afterwards. */
  get wanted(): BatchAddress {
    return {
      epoch: Atomics.load(this.#words, WANTED_EPOCH),
      ordinal: Atomics.load(this.#words, WANTED_ORDINAL),
    }
  }

  /** Slots that are free. */
  get credit(): number {
    return this.shape.slots - (Atomics.load(this.#words, FILLED) - Atomics.load(this.#words, TAKEN))
  }

  /**
   * Fills the next slot, which must be free.
   *
   * @param jump {@link jumps} as it was when the address was chosen
   * @param write puts the rows into the slot's arrays
   */
  fill(
    jump: number,
    address: BatchAddress,
    rows: number,
    write: (xs: Float32Array, ys: Float32Array) => void,
  ): void {
    const filled = Atomics.load(this.#words, FILLED)
    const slot = this.#slots[filled % this.shape.slots]!
    write(slot.xs, slot.ys)
    slot.words[SlotWord.jump] = jump
    slot.words[SlotWord.epoch] = address.epoch
    slot.words[SlotWord.ordinal] = address.ordinal
    slot.words[SlotWord.rows] = rows
    Atomics.store(this.#words, FILLED, filled + 1)
    Atomics.notify(this.#words, FILLED)
  }

  /** No batch follows: the reader's wait ends. */
  close(): void {
    Atomics.store(this.#words, Word.closed, 1)
    Atomics.add(this.#words, FILLED, 1)
    Atomics.notify(this.#words, FILLED)
  }
}

function batchOf({ words, xs, ys }: RingSlot): RingBatch {
  const [epoch, ordinal, rows] = [SlotWord.epoch, SlotWord.ordinal, SlotWord.rows].map(at => words[at]!)
  return { epoch: epoch!, ordinal: ordinal!, rows: rows!, xs, ys }
}

function plan(shape: RingShape): { slots: { words: number; xs: number; ys: number }[]; bytes: number } {
  const parts = new BufferPlan()
  parts.take(HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT)
  const slots = Array.from({ length: shape.slots }, () => ({
    words: parts.take(WORDS_PER_LINE * Int32Array.BYTES_PER_ELEMENT),
    xs: parts.take(shape.maxRows * shape.xElements * Float32Array.BYTES_PER_ELEMENT),
    ys: parts.take(shape.maxRows * shape.yElements * Float32Array.BYTES_PER_ELEMENT),
  }))
  return { slots, bytes: parts.bytes }
}
