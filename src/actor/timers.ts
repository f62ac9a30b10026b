import { describe, TroupeError } from '../errors.js'
import type { Clock, Timer } from '../determinism/index.js'

type Callback = () => void | Promise<void>

/** What the platform's timers can hold: 2^31 - 1 ms, about 24.8 days. */
export const MAX_DELAY_MS = 2_147_483_647

/** An actor's timers: they fire as messages, and die with the incarnation. */
export class ActorTimers {
  readonly #clock: Clock
  readonly #run: (callback: () => unknown) => void
  readonly #pending = new Set<Timer>()
  #dead = false

  constructor(clock: Clock, run: (callback: () => unknown) => void) {
    this.#clock = clock
    this.#run = run
  }

  after(delayMs: number, callback: Callback): Timer {
    checkDelay(delayMs)
    if (this.#dead) return DEAD
    let cancelled = false
    const timer = this.#clock.after(delayMs, () => {
      this.#pending.delete(timer)
      // it may be cancelled, or its incarnation end, while the message waits in the mailbox
      this.#run(() => (cancelled || this.#dead ? undefined : callback()))
    })
    const handle: Timer = {
      cancel: () => {
        cancelled = true
        this.#pending.delete(timer)
        timer.cancel()
      },
      hold: held => timer.hold(held),
    }
    this.#pending.add(timer)
    return handle
  }

  every(periodMs: number, callback: Callback): Timer {
    checkPeriod(periodMs)
    if (this.#dead) return DEAD
    let cancelled = false
    let waiting = false
    let held = true
    let timer: Timer
    const arm = (): void => {
      timer = this.#clock.after(periodMs, fire)
      timer.hold(held)
      this.#pending.add(timer)
    }
    const fire = (): void => {
      this.#pending.delete(timer)
      arm()
      if (waiting) return
      waiting = true
      this.#run(() => {
        waiting = false
        return cancelled || this.#dead ? undefined : callback()
      })
    }
    arm()
    return {
      cancel: () => {
        cancelled = true
        this.#pending.delete(timer)
        timer.cancel()
      },
      hold: value => {
        held = value
        timer.hold(value)
      },
    }
  }

  cancelAll(): void {
    this.#dead = true
    for (const timer of this.#pending) timer.cancel()
    this.#pending.clear()
  }
}

/** A timer set while the incarnation ends: it would fire in the next one's life. */
const DEAD: Timer = Object.freeze({ cancel: () => undefined, hold: () => undefined })

/** @throws ERR_INVALID_OPTION */
export function checkDelay(delayMs: number): void {
  if (delayMs >= 0 && delayMs <= MAX_DELAY_MS) return
  throw new TroupeError(
    'ERR_INVALID_OPTION',
    `delayMs must be 0 to ${MAX_DELAY_MS}, got ${describe(delayMs)}`,
    { data: { option: 'delayMs', value: describe(delayMs), limit: MAX_DELAY_MS } },
  )
}

/** A period of 0 would leave no time between two turns. @throws ERR_INVALID_OPTION */
export function checkPeriod(periodMs: number): void {
  if (periodMs > 0 && periodMs <= MAX_DELAY_MS) return
  throw new TroupeError(
    'ERR_INVALID_OPTION',
    `periodMs must be more than 0 and at most ${MAX_DELAY_MS}, got ${describe(periodMs)}`,
    { data: { option: 'periodMs', value: describe(periodMs), limit: MAX_DELAY_MS } },
  )
}
