import type { Timer } from '../determinism/index.js'

/** A timer that has not fired. `order` breaks ties: timers of equal time fire in the order they were set. */
export interface QueuedTimer<Owner> extends Timer {
  readonly dueMs: number
  readonly order: number
  readonly owner: Owner
  readonly callback: () => void
}

class Entry<Owner> implements QueuedTimer<Owner> {
  index = -1
  held = true

  constructor(
    readonly queue: TimerQueue<Owner>,
    readonly dueMs: number,
    readonly order: number,
    readonly owner: Owner,
    readonly callback: () => void,
  ) {}

  cancel(): void {
    this.queue.remove(this)
  }

  hold(held: boolean): void {
    this.queue.hold(this, held)
  }
}

/** Timers by due time: a binary heap that also removes from the middle, so that cancelled timers cost nothing. */
export class TimerQueue<Owner> {
  readonly #heap: Entry<Owner>[] = []
  #order = 0
  #held = 0

  get size(): number {
    return this.#heap.length
  }

  /** Timers that would keep a process alive. */
  get held(): number {
    return this.#held
  }

  add(dueMs: number, owner: Owner, callback: () => void): QueuedTimer<Owner> {
    const entry = new Entry(this, dueMs, this.#order++, owner, callback)
    this.#heap.push(entry)
    this.#held++
    this.#up(this.#heap.length - 1)
    return entry
  }

  peek(): QueuedTimer<Owner> | undefined {
    return this.#heap[0]
  }

  pop(): QueuedTimer<Owner> | undefined {
    const first = this.#heap[0]
    if (first !== undefined) this.remove(first)
    return first
  }

  /** Timers due at `nowMs` or before, in no particular order. */
  *due(nowMs: number, at = 0): Generator<QueuedTimer<Owner>> {
    const entry = this.#heap[at]
    if (entry === undefined || entry.dueMs > nowMs) return
    yield entry
    yield* this.due(nowMs, 2 * at + 1)
    yield* this.due(nowMs, 2 * at + 2)
  }

  /** Does nothing for a timer that has fired or was removed. */
  remove(timer: QueuedTimer<Owner>): void {
    const entry = timer as Entry<Owner>
    const at = entry.index
    if (at < 0) return
    entry.index = -1
    if (entry.held) this.#held--
    const last = this.#heap.pop()!
    if (last === entry) return
    this.#place(last, at)
    this.#up(at)
    this.#down(at)
  }

  hold(timer: QueuedTimer<Owner>, held: boolean): void {
    const entry = timer as Entry<Owner>
    if (entry.held === held) return
    entry.held = held
    if (entry.index >= 0) this.#held += held ? 1 : -1
  }

  /** Removes every timer of `owner`; answers how many. */
  removeAll(owner: Owner): number {
    const own = this.#heap.filter(entry => entry.owner === owner)
    for (const entry of own) this.remove(entry)
    return own.length
  }

  #place(entry: Entry<Owner>, at: number): void {
    this.#heap[at] = entry
    entry.index = at
  }

  #up(from: number): void {
    let at = from
    const entry = this.#heap[at]!
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(entry, this.#heap[parent]!)) break
      this.#place(this.#heap[parent]!, at)
      at = parent
    }
    this.#place(entry, at)
  }

  #down(from: number): void {
    let at = from
    const entry = this.#heap[at]!
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.#heap.length) break
      if (child + 1 < this.#heap.length && before(this.#heap[child + 1]!, this.#heap[child]!)) child++
      if (!before(this.#heap[child]!, entry)) break
      this.#place(this.#heap[child]!, at)
      at = child
    }
    this.#place(entry, at)
  }
}

function before<Owner>(a: QueuedTimer<Owner>, b: QueuedTimer<Owner>): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}
