import type { EpochLog, Journal, JournalEntry, JournalImage } from './journal.js'
import { sameBits } from './same-bits.js'

/** How a step that was made again compares with what it gave before. */
export type Repeated = 'same' | 'different'

/**
 * What shard 0 keeps of what user code saw: journals (one for all ranks in exact mode, else one for each rank) and
 * results of `ctx.once`. After a rollback also the entries that were dropped, to be compared with what comes instead.
 */
export class ShardRecord {
  readonly #journals: readonly Journal[]
  readonly #onces: Map<string, unknown>
  readonly #dropped: Map<number, JournalEntry>

  constructor(journals: readonly Journal[], onces: Iterable<readonly [string, unknown]> = []) {
    this.#journals = journals
    this.#onces = new Map(onces)
    this.#dropped = new Map()
  }

  /** The journal of a rank, or the one of all. */
  journal(rank: number): Journal {
    return this.#journals[this.#journals.length === 1 ? 0 : rank]!
  }

  images(): JournalImage[] {
    return this.#journals.map(journal => journal.image())
  }

  onces(): [string, unknown][] {
    return [...this.#onces]
  }

  /** Takes over what a rollback dropped from a record, as far as it lies behind this one's steps. */
  expect(dropped: ShardRecord): void {
    const { steps } = this.#journals[0]!
    for (const [step, entry] of dropped.#dropped) if (step >= steps) this.#dropped.set(step, entry)
    for (const [step, entry] of dropped.#journals[0]!.entriesFrom(steps)) this.#dropped.set(step, entry)
  }

  /** Takes the entry of a rank's next step; tells how it compares if the step was made before. */
  append(rank: number, entry: JournalEntry): Repeated | undefined {
    const journal = this.journal(rank)
    const before = this.#dropped.get(journal.steps)
    this.#dropped.delete(journal.steps)
    journal.append(entry)
    return before && (sameEntry(before, entry) ? 'same' : 'different')
  }

  endEpoch(rank: number, log: EpochLog): void {
    this.journal(rank).endEpoch(log)
  }

  once(key: string): { readonly value: unknown } | undefined {
    return this.#onces.has(key) ? { value: this.#onces.get(key) } : undefined
  }

  /** The first result counts; it is returned. */
  keepOnce(key: string, value: unknown): unknown {
    if (!this.#onces.has(key)) this.#onces.set(key, value)
    return this.#onces.get(key)
  }
}

function sameEntry(a: JournalEntry, b: JournalEntry): boolean {
  return a.part === b.part && a.rows === b.rows && sameBits(a.outputs, b.outputs)
}
