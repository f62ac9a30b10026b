import { token } from './token.js'

/** Time, as everything in Troupe sees it. A simulation replaces it. */
export interface Clock {
  /** Wall clock: milliseconds since the Unix epoch. For people and records, never for intervals. */
  now(): number
  /** Milliseconds since some fixed moment; never goes back. */
  monotonic(): number
  /** Calls `callback` once, `delayMs` from now. Timers of equal time fire in the order they were set. */
  after(delayMs: number, callback: () => void): Timer
}

export const Clock = token<Clock>('Clock')

export interface Timer {
  /** Does nothing if it has fired or was cancelled. */
  cancel(): void
  /** May the process end while this timer is pending? A new timer holds it. */
  hold(held: boolean): void
}

/** The machine's clock. Its timers keep the process alive until they fire or are cancelled. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  monotonic(): number {
    return performance.now()
  }

  after(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, Math.max(0, delayMs))
    return {
      cancel: () => clearTimeout(handle),
      hold: held => {
        if (held) handle.ref()
        else handle.unref()
      },
    }
  }
}
