import { TroupeError } from '../errors.js'

/** What user code saw of a closed step. */
export interface JournalEntry {
  /** Number of the part of the model that the step trained. */
  readonly part: number
  /** Loss, then metrics: means over all ranks, float32. */
  readonly outputs: Float32Array
  /** Rows of the step over all ranks. */
  readonly rows: number
}

/** The end of an epoch, as the program's epoch callbacks saw it. */
export interface EpochLog {
  readonly epoch: number
  /** Steps that were made by then. */
  readonly step: number
  readonly logs: Readonly<Record<string, number>>
}

/** A journal as plain data: in cuts, and for a worker that replays it. */
export interface JournalImage {
  /** Entries of the steps before this one are gone: of them there are {@link epochs} only. */
  readonly first: number
  /** Entries of steps [first, steps). */
  readonly steps: number
  /** Number of the part that each step trained. */
  readonly parts: Uint16Array
  /** How many values a step of each part returned, by number of part; 0 where none was made. */
  readonly widths: readonly number[]
  /** The values of all steps, one after the other. */
  readonly outputs: Float32Array
  readonly rows: Float64Array
  /** In order; each of a step of at most {@link steps}. */
  readonly epochs: readonly EpochLog[]
}

/** Steps whose entries a journal keeps. */
export const DEFAULT_JOURNAL_MAX_STEPS = 1_000_000

const FIRST_CAPACITY = 1024

/**
 * Loss, metrics and rows of every closed step, in order of steps, and the logs of epochs.
 *
 * It is bounded: beyond `maxSteps` it forgets the steps of its oldest epochs, whose logs stay. Epochs are forgotten
 * whole. Where a program has none, or one that is longer, the oldest steps are forgotten as they come.
 */
export class Journal {
  readonly #maxSteps: number
  #first = 0
  #steps = 0
  readonly #widths: number[] = []
  readonly #epochs: EpochLog[] = []
  /** Of the entries that are kept, from index `#head` on. */
  #parts = new Uint16Array(0)
  #rows = new Float64Array(0)
  #outputs = new Float32Array(0)
  #head = 0
  #outputsHead = 0
  #outputsEnd = 0

  constructor(maxSteps: number = DEFAULT_JOURNAL_MAX_STEPS) {
    this.#maxSteps = maxSteps
  }

  static from(image: JournalImage, maxSteps?: number): Journal {
    const journal = new Journal(maxSteps)
    journal.#first = journal.#steps = image.first
    const reader = new JournalReader(image)
    for (let step = image.first; step < image.steps; step++) journal.append(reader.entry(step)!)
    for (const log of image.epochs) journal.endEpoch(log)
    return journal
  }

  get steps(): number {
    return this.#steps
  }

  /** The oldest step whose entry is kept. */
  get first(): number {
    return this.#first
  }

  /** Takes the entry of the next step. */
  append({ part, outputs, rows }: JournalEntry): void {
    const width = (this.#widths[part] ||= outputs.length)
    if (outputs.length !== width) {
      throw new TroupeError(
        'ERR_INTERNAL',
        `a step of part ${part} returned ${outputs.length} values, those before ${width}`,
      )
    }
    this.#reserve(outputs.length)
    const at = this.#head + this.#kept
    this.#parts[at] = part
    this.#rows[at] = rows
    this.#outputs.set(outputs, this.#outputsEnd)
    this.#outputsEnd += outputs.length
    this.#steps += 1
    if (this.#kept > this.#maxSteps) this.#forget()
  }

  /** Takes the logs of an epoch that has ended; one that is there already stays as it is. */
  endEpoch(log: EpochLog): void {
    const last = this.#epochs.at(-1)
    if (last !== undefined && (log.step < last.step || (log.step === last.step && log.epoch <= last.epoch)))
      return
    this.#epochs.push(log)
  }

  /** The entries of this step and all later ones that are kept, by step. */
  entriesFrom(step: number): Map<number, JournalEntry> {
    const reader = new JournalReader(this.image())
    const entries = new Map<number, JournalEntry>()
    for (let at = Math.max(step, this.#first); at < this.#steps; at++) entries.set(at, reader.entry(at)!)
    return entries
  }

  /** A copy of the first `steps` steps, as far as they are here. */
  image(steps: number = this.#steps): JournalImage {
    const end = Math.min(steps, this.#steps)
    const kept = Math.max(0, end - this.#first)
    let values = this.#outputsEnd - this.#outputsHead
    if (end < this.#steps) {
      values = 0
      for (let i = 0; i < kept; i++) values += this.#widths[this.#parts[this.#head + i]!]!
    }
    return {
      first: Math.min(this.#first, end),
      steps: end,
      parts: this.#parts.slice(this.#head, this.#head + kept),
      widths: Array.from(this.#widths, width => width ?? 0),
      outputs: this.#outputs.slice(this.#outputsHead, this.#outputsHead + values),
      rows: this.#rows.slice(this.#head, this.#head + kept),
      epochs: this.#epochs.filter(({ step }) => step <= end),
    }
  }

  get #kept(): number {
    return this.#steps - this.#first
  }

  /** As many whole epochs as it takes; the open one, or steps outside of epochs, only as far as it must. */
  #forget(): void {
    const least = this.#steps - this.#maxSteps
    const border = this.#epochs.find(({ step }) => step >= least)
    const until = border === undefined ? least : border.step
    while (this.#first < until) {
      this.#outputsHead += this.#widths[this.#parts[this.#head]!]!
      this.#head += 1
      this.#first += 1
    }
  }

  /** Room for one more entry of this many values. */
  #reserve(values: number): void {
    const kept = this.#kept
    if (this.#head + kept === this.#rows.length) {
      const capacity = capacityFor(kept + 1)
      this.#parts = moved(this.#parts, new Uint16Array(capacity), this.#head, kept)
      this.#rows = moved(this.#rows, new Float64Array(capacity), this.#head, kept)
      this.#head = 0
    }
    if (this.#outputsEnd + values > this.#outputs.length) {
      const used = this.#outputsEnd - this.#outputsHead
      const grown = new Float32Array(capacityFor(used + values))
      this.#outputs = moved(this.#outputs, grown, this.#outputsHead, used)
      this.#outputsEnd = used
      this.#outputsHead = 0
    }
  }
}

/** Reads the entries of an image, in any order. */
export class JournalReader {
  readonly image: JournalImage
  /** Where each entry's values begin, if not all are of one width. */
  readonly #offsets: Uint32Array | undefined
  readonly #width: number

  constructor(image: JournalImage) {
    this.image = image
    const { parts, widths } = image
    this.#width = widths[parts[0] ?? 0] ?? 0
    if (parts.every(part => widths[part] === this.#width)) return
    const offsets = new Uint32Array(parts.length)
    let offset = 0
    for (const [i, part] of parts.entries()) {
      offsets[i] = offset
      offset += widths[part]!
    }
    this.#offsets = offsets
  }

  /** Undefined for a step whose entry was forgotten, or is not there yet. */
  entry(step: number): JournalEntry | undefined {
    const { first, steps, parts, widths, outputs, rows } = this.image
    if (step < first || step >= steps) return undefined
    const i = step - first
    const part = parts[i]!
    const from = this.#offsets?.[i] ?? i * this.#width
    return { part, outputs: outputs.subarray(from, from + widths[part]!), rows: rows[i]! }
  }
}

/** Of a rank that has made no steps. */
export const EMPTY_JOURNAL: JournalImage = new Journal().image()

function capacityFor(count: number): number {
  return Math.max(FIRST_CAPACITY, count * 2)
}

function moved<T extends Uint16Array | Float32Array | Float64Array>(
  from: T,
  to: T,
  begin: number,
  count: number,
): T {
  to.set(from.subarray(begin, begin + count))
  return to
}
