import type { DeferredReply } from 'troupe'
import type { EventBatch, EventLog, EventPosition } from './event-log.js'

/** Where events are left and fetched: who comes too early is answered when there is one. */
export class EventDesk<E> {
  readonly #log: EventLog<E>
  readonly #isLast: (event: E) => boolean
  #closed = false
  #readers: { readonly from: EventPosition; readonly reply: DeferredReply<EventBatch<E>> }[] = []

  /** @param isLast nothing is taken after such an event: what comes late is no news any more */
  constructor(log: EventLog<E>, isLast: (event: E) => boolean) {
    this.#log = log
    this.#isLast = isLast
  }

  append(events: readonly E[]): void {
    if (events.length === 0 || this.#closed) return
    for (const event of events) {
      this.#log.append(event)
      this.#closed ||= this.#isLast(event)
    }
    const readers = this.#readers
    this.#readers = []
    for (const { from, reply } of readers) reply.resolve(this.#log.read(from))
  }

  /** The events from a position on; undefined if there is none yet. */
  read(from: EventPosition): EventBatch<E> | undefined {
    return this.#log.has(from) ? this.#log.read(from) : undefined
  }

  wait(from: EventPosition, reply: DeferredReply<EventBatch<E>>): void {
    this.#readers.push({ from, reply })
  }
}
