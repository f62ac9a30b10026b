import { TroupeError } from '../errors.js'

/** What user code saw of a closed step. */
export interface JournalEntry {
  /** Loss, then metrics: means over all ranks, float32. */
  readonly outputs: Float32Array
  /** Rows of the step over all ranks. */
  readonly rows: number
}

/** The journal up to a step, as it travels to a worker that replays it. */
export interface JournalExtract {
  /** Entries of steps [0, steps). */
  readonly steps: number
  readonly width: number
  /** `steps * width` numbers, step by step. */
  readonly outputs: Float32Array
  readonly rows: Float64Array
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
  /** How many values a step of each part returned, by number of part. */
  readonly widths: readonly number[]
  /** The values of all steps, one after the other. */
  readonly outputs: Float32Array
  readonly rows: Float64Array
  /** In order; each of a step of at most {@link steps}. */
  readonly epochs: readonly EpochLog[]
}

const FIRST_CAPACITY = 1024

/** Loss, metrics and rows of every closed step, in order of steps. */
export class Journal {
  #width = 0
  #steps = 0
  #outputs = new Float32Array(0)
  #rows = new Float64Array(0)

  get steps(): number {
    return this.#steps
  }

  /** Takes the entry of the next step. */
  append(entry: JournalEntry): void {
    if (this.#steps === 0) this.#width = entry.outputs.length
    if (entry.outputs.length !== this.#width) {
      throw new TroupeError(
        'ERR_INTERNAL',
        `a step returned ${entry.outputs.length} values, those before ${this.#width}`,
      )
    }
    if (this.#steps === this.#rows.length) this.#grow()
    this.#outputs.set(entry.outputs, this.#steps * this.#width)
    this.#rows[this.#steps] = entry.rows
    this.#steps += 1
  }

  /** The entries of the first `steps` steps, copied. */
  extract(steps: number): JournalExtract {
    if (steps > this.#steps) {
      throw new TroupeError('ERR_INTERNAL', `the journal has ${this.#steps} steps, not ${steps}`)
    }
    return {
      steps,
      width: this.#width,
      outputs: this.#outputs.slice(0, steps * this.#width),
      rows: this.#rows.slice(0, steps),
    }
  }

  #grow(): void {
    const capacity = Math.max(FIRST_CAPACITY, this.#rows.length * 2)
    const outputs = new Float32Array(capacity * this.#width)
    outputs.set(this.#outputs)
    const rows = new Float64Array(capacity)
    rows.set(this.#rows)
    this.#outputs = outputs
    this.#rows = rows
  }
}

/** Reads one step of an extract. */
export function journalEntry(extract: JournalExtract, step: number): JournalEntry {
  const from = step * extract.width
  return { outputs: extract.outputs.subarray(from, from + extract.width), rows: extract.rows[step]! }
}
