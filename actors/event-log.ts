/** What a reader gets: the events from where it stands, and where it stands then. */
export interface EventBatch<E> {
  /** Of the writer: each numbers its events from 0. */
  readonly incarnation: number
  readonly events: readonly E[]
  readonly next: number
}

/** Where a reader stands: {@link EventBatch.next} of what this incarnation of the writer gave it last. */
export interface EventPosition {
  readonly incarnation: number
  readonly next: number
}

export const BEGINNING: EventPosition = { incarnation: 0, next: 0 }

/** Events in order, numbered from 0. Bounded: beyond its capacity the oldest are forgotten. */
export class EventLog<E> {
  readonly #incarnation: number
  readonly #capacity: number
  #events: E[] = []
  /** Number of the first one that is kept. */
  #first = 0

  constructor(incarnation: number, capacity: number) {
    this.#incarnation = incarnation
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

  /** Is there something that a reader at this position has not got? */
  has(position: EventPosition): boolean {
    return this.next > this.#at(position)
  }

  /** Events from a position on, as far as they are kept; all of them for who comes from another incarnation. */
  read(position: EventPosition): EventBatch<E> {
    const events = this.#events.slice(Math.max(0, this.#at(position) - this.#first))
    return { incarnation: this.#incarnation, events, next: this.next }
  }

  #at({ incarnation, next }: EventPosition): number {
    return incarnation === this.#incarnation ? next : 0
  }
}
