import { describe, TroupeError } from '../errors.js'
import type { Clock, Timer } from '../determinism/index.js'

type Callback = () => void | Promise<void>

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
    checkDelay(periodMs)
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

function checkDelay(ms: number): void {
  if (ms >= 0 && ms <= MAX_DELAY_MS) return
  throw new TroupeError('ERR_INVALID_OPTION', `a timer takes 0 to ${MAX_DELAY_MS} ms, got ${describe(ms)}`, {
    data: { value: describe(ms), limit: MAX_DELAY_MS },
  })
}

/** What the platform's timers can hold: 2^31 - 1 ms, about 24.8 days. */
const MAX_DELAY_MS = 2_147_483_647
