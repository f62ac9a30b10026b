import { TroupeError } from '../errors.js'
import type { Clock, Timer } from '../determinism/index.js'
import { TimerQueue } from './timer-queue.js'
import { settle } from './turn.js'

/** Wall clock time of a virtual clock at its start: 2026-01-01T00:00:00Z, so that dates in records look like dates. */
export const DEFAULT_EPOCH_MS = Date.UTC(2026, 0, 1)

/**
 * Turns of the event loop given to the program between two timers: a dispatcher may take one for every 256
 * messages, and what a timer starts seldom takes more than two.
 */
const SETTLE_TURNS = 3

export interface VirtualClockOptions {
  /** Wall clock time at the start, in milliseconds since the Unix epoch. @default DEFAULT_EPOCH_MS */
  readonly epochMs?: number
  /** Lets the program run until it has nothing to do at this moment. @default three turns of the event loop */
  readonly settle?: () => Promise<void>
}

/**
 * A clock that stands still until a test moves it. For unit tests of one runtime; `simulate` moves time by itself.
 *
 * @example
 * const clock = new VirtualClock()
 * await using troupe = await Troupe.start({ clock })
 * …
 * await clock.advance(30_000)
 */
export class VirtualClock implements Clock {
  readonly #epochMs: number
  readonly #settle: () => Promise<void>
  readonly #timers = new TimerQueue<undefined>()
  #nowMs = 0

  constructor(options: VirtualClockOptions = {}) {
    this.#epochMs = options.epochMs ?? DEFAULT_EPOCH_MS
    this.#settle = options.settle ?? (() => settle(SETTLE_TURNS))
  }

  /** Timers set and not yet fired. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#epochMs + this.#nowMs
  }

  monotonic(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#timers.add(this.#nowMs + Math.max(0, delayMs), undefined, callback)
  }

  /**
   * Moves time by `ms`, firing what falls due in order; between two timers, and before the first and after the
   * last, the program runs until it is idle. A timer set meanwhile fires too if it falls due.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new TroupeError('ERR_INVALID_OPTION', `ms must be 0 or more, got ${ms}`)
    const untilMs = this.#nowMs + ms
    await this.#settle()
    for (let next = this.#timers.peek(); next !== undefined && next.dueMs <= untilMs;) {
      this.#fire()
      await this.#settle()
      next = this.#timers.peek()
    }
    this.#nowMs = untilMs
  }

  /** Moves time to the next timer and fires it; answers false, with time unmoved, if there is none. */
  async advanceToNext(): Promise<boolean> {
    await this.#settle()
    if (this.#timers.peek() === undefined) return false
    this.#fire()
    await this.#settle()
    return true
  }

  #fire(): void {
    const timer = this.#timers.pop()!
    this.#nowMs = Math.max(this.#nowMs, timer.dueMs)
    timer.callback()
  }
}
