import type { Clock, Random } from '../determinism/index.js'

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5_000
const GROWTH = 2
/** Waits differ by this part, so that many clients do not come back at once. */
const JITTER = 0.5

/**
 * When to try again, and when to stop trying: waits that grow, within a time that begins with the first failure, since
 * that may itself have been a server that was silent for long.
 */
export class Patience {
  readonly #clock: Clock
  readonly #random: Random
  readonly #forMs: number
  #endsAtMs: number | undefined
  #delayMs = FIRST_DELAY_MS

  /** @param forMs 0: once, and never again */
  constructor(clock: Clock, random: Random, forMs: number) {
    this.#clock = clock
    this.#random = random
    this.#forMs = forMs
  }

  /** After a failure: is it too late for another try? */
  isOver(): boolean {
    const nowMs = this.#clock.monotonic()
    this.#endsAtMs ??= nowMs + this.#forMs
    return nowMs >= this.#endsAtMs
  }

  /** Waits before the next try, and not beyond the end. */
  async pause(): Promise<void> {
    if (this.isOver()) return
    const spread = this.#delayMs * (1 - JITTER * this.#random.next())
    const left = this.#endsAtMs! - this.#clock.monotonic()
    this.#delayMs = Math.min(this.#delayMs * GROWTH, MAX_DELAY_MS)
    await new Promise<void>(resolve => this.#clock.after(Math.min(spread, left), resolve))
  }
}
