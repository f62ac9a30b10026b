import type { DeferredReply } from 'troupe'
import type { EventBatch, EventLog, EventPosition } from './event-log.js'

/** Where events are left and fetched: who comes too early is answered when there is one. */
export class EventDesk<E> {
  readonly #log: EventLog<E>
  #readers: { readonly from: EventPosition; readonly reply: DeferredReply<EventBatch<E>> }[] = []

  constructor(log: EventLog<E>) {
    this.#log = log
  }

  append(events: readonly E[]): void {
    for (const event of events) this.#log.append(event)
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
