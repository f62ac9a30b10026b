import type { DeferredReply } from '../actor/deferred-reply.js'

/** A deferred reply in an actor's thread: its host has the ask. */
export class ThreadDeferredReply<T> implements DeferredReply<T> {
  readonly #onValue: (value: T) => void
  readonly #onError: (error: Error) => void
  settled = false

  constructor(onValue: (value: T) => void, onError: (error: Error) => void) {
    this.#onValue = onValue
    this.#onError = onError
  }

  static forNobody<T>(): ThreadDeferredReply<T> {
    const nobody = (): void => undefined
    return new ThreadDeferredReply<T>(nobody, nobody)
  }

  resolve(value: T): void {
    if (this.settled) return
    // before it counts as settled: what cannot travel can still be rejected
    this.#onValue(value)
    this.settled = true
  }

  reject(error: Error): void {
    if (this.settled) return
    this.settled = true
    this.#onError(error)
  }
}
