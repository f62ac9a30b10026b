/** What a reader gets: the events from where it stands, and where it stands then. */
export interface EventBatch<E> {
  readonly events: readonly E[]
  readonly next: number
}

/** Events in order, numbered from 0. Bounded: beyond its capacity the oldest are forgotten. */
export class EventLog<E> {
  readonly #capacity: number
  #events: E[] = []
  /** Number of the first one that is kept. */
  #first = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Number of the next event. */
  get next(): number {
    return this.#first + this.#events.length
  }

  append(event: E): void {
    this.#events.push(event)
    // Forgotten by halves, so that each event is moved about once.
    if (this.#events.length < 2 * this.#capacity) return
    this.#events = this.#events.slice(this.#capacity)
    this.#first += this.#capacity
  }

  /** Events from number `from` on, as far as they are kept. */
  read(from: number): EventBatch<E> {
    return { events: this.#events.slice(Math.max(0, from - this.#first)), next: this.next }
  }
}
