import type { Scheduler } from '../determinism/index.js'

/** A mailbox with work. */
export interface Runnable {
  /** Handles up to `budget` messages; returns how many. */
  drain(budget: number): number
  /** Does it want another turn? Cleared state is the runnable's own business. */
  readonly runnable: boolean
}

/** Messages handled, over all mailboxes, before I/O gets its turn. */
export const MESSAGES_A_TURN = 256

/**
 * Gives mailboxes their turns. The first drains run as microtasks, which makes an ask three times faster than a turn of
 * the event loop; after {@link MESSAGES_A_TURN} messages the next drain waits for `setImmediate`, so that I/O and timers
 * run however much the actors talk.
 */
export class Dispatcher {
  readonly #scheduler: Scheduler
  readonly #choose: ((runnable: number) => number) | undefined
  #queue: Runnable[] = []
  #next = 0
  #armed = false
  #spent = 0

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
    this.#choose = scheduler.choose?.bind(scheduler)
  }

  /** Queues a mailbox; the caller sees to it that none is queued twice. */
  schedule(runnable: Runnable): void {
    this.#queue.push(runnable)
    if (this.#armed) return
    this.#armed = true
    this.#arm()
  }

  /** Mailboxes that wait for a turn. */
  get waiting(): number {
    return this.#queue.length - this.#next
  }

  #arm(): void {
    if (this.#choose !== undefined || this.#spent >= MESSAGES_A_TURN)
      this.#scheduler.immediate(this.#immediate)
    else this.#scheduler.microtask(this.#run)
  }

  readonly #immediate = (): void => {
    this.#spent = 0
    this.#run()
  }

  readonly #run = (): void => {
    try {
      if (this.#choose !== undefined) this.#runChosen(this.#choose)
      else this.#runInTurn()
    } finally {
      // also when a drain threw: that is one mailbox's bug, and must not silence all the others
      if (this.#next < this.#queue.length) this.#arm()
      else this.#armed = false
    }
  }

  #runInTurn(): void {
    while (this.#next < this.#queue.length && this.#spent < MESSAGES_A_TURN) {
      const runnable = this.#queue[this.#next++] as Runnable
      this.#spent += Math.max(1, runnable.drain(MESSAGES_A_TURN - this.#spent))
      if (runnable.runnable) this.#queue.push(runnable)
    }
    this.#compact()
  }

  /** Under a simulation: one message of a mailbox that it chose. */
  #runChosen(choose: (runnable: number) => number): void {
    if (this.#queue.length === 0) return
    const [runnable] = this.#queue.splice(choose(this.#queue.length), 1)
    if (runnable === undefined) return
    runnable.drain(1)
    if (runnable.runnable) this.#queue.push(runnable)
  }

  #compact(): void {
    if (this.#next === this.#queue.length) {
      this.#queue.length = 0
      this.#next = 0
    } else if (this.#next > 1024) {
      this.#queue = this.#queue.slice(this.#next)
      this.#next = 0
    }
  }
}
