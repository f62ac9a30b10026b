import type { Clock, Timer } from '../determinism/index.js'
import { MAX_DELAY_MS } from './timers.js'

/** What waits for a deadline, linked into the list of its tick. */
export interface Deadlined {
  deadline: number
  before: Deadlined | undefined
  after: Deadlined | undefined
  timedOut(): void
}

/** Deadlines are rounded up to a multiple of this: an ask never times out early, and up to this much late. */
export const DEADLINE_TICK_MS = 8

/**
 * A timer wheel for the deadlines of asks: one clock timer for all of them, since one each costs a third of an ask's
 * speed. The wheel is a map from tick to list, so a deadline can lie as far ahead as it likes.
 */
export class AskDeadlines {
  readonly #clock: Clock
  readonly #ticks = new Map<number, Deadlined>()
  #timer: Timer | undefined
  #timerTick = Infinity
  #pending = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many wait. */
  get pending(): number {
    return this.#pending
  }

  add(entry: Deadlined, timeoutMs: number): void {
    const tick = Math.ceil((this.#clock.monotonic() + timeoutMs) / DEADLINE_TICK_MS)
    entry.deadline = tick
    const first = this.#ticks.get(tick)
    if (first !== undefined) first.before = entry
    entry.after = first
    this.#ticks.set(tick, entry)
    if (tick < this.#timerTick) this.#arm(tick)
    if (++this.#pending === 1) this.#timer?.hold(true)
  }

  /** Does nothing if it was removed before. */
  remove(entry: Deadlined): void {
    if (entry.deadline === 0) return
    if (entry.after !== undefined) entry.after.before = entry.before
    if (entry.before !== undefined) entry.before.after = entry.after
    else if (entry.after !== undefined) this.#ticks.set(entry.deadline, entry.after)
    else this.#ticks.delete(entry.deadline)
    entry.deadline = 0
    entry.before = undefined
    entry.after = undefined
    // the timer stays, so that the next ask finds it, but no longer keeps the process alive
    if (--this.#pending === 0) this.#timer?.hold(false)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerTick = Infinity
  }

  #arm(tick: number): void {
    this.#timer?.cancel()
    this.#timerTick = tick
    // one that lies further ahead than timers reach is looked at again then
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(0, tick * DEADLINE_TICK_MS - this.#clock.monotonic()))
    this.#timer = this.#clock.after(delayMs, this.#fire)
    this.#timer.hold(this.#pending > 0)
  }

  readonly #fire = (): void => {
    this.#timer = undefined
    this.#timerTick = Infinity
    const now = this.#clock.monotonic()
    let next = Infinity
    for (const tick of this.#ticks.keys()) {
      if (tick * DEADLINE_TICK_MS > now) {
        if (tick < next) next = tick
        continue
      }
      // timing out removes the entry, so the list shrinks from its head
      for (let entry = this.#ticks.get(tick); entry !== undefined; entry = this.#ticks.get(tick))
        entry.timedOut()
    }
    // an ask made while others timed out may have armed the timer already
    if (next < this.#timerTick) this.#arm(next)
  }
}
