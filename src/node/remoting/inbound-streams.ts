import type { RemotingCounters } from './counters.js'
import { NumberSet } from './number-set.js'

/**
 * The ordered streams that one node sends here, one for each pair of actors. Takes a message only if it is later than
 * all that were taken of its stream: so none is handled twice, and none after a later one.
 */
export class InboundStreams {
  readonly #counters: RemotingCounters
  /** Stream → the last sequence taken. */
  readonly #last = new Map<number, number>()
  readonly #closed = new NumberSet()

  constructor(counters: RemotingCounters) {
    this.#counters = counters
  }

  /** Streams in use. */
  get open(): number {
    return this.#last.size
  }

  /** May this message be handled? Counts it as a duplicate if not, and what is missing before it as lost. */
  accept(stream: number, sequence: number): boolean {
    const last = this.#last.get(stream) ?? 0
    if (sequence <= last || this.#closed.has(stream)) {
      this.#counters.duplicates++
      return false
    }
    this.#counters.lost += sequence - last - 1
    this.#last.set(stream, sequence)
    return true
  }

  /** The sender uses this stream no more: what still comes of it is late. */
  close(stream: number): void {
    this.#last.delete(stream)
    this.#closed.add(stream)
  }
}
