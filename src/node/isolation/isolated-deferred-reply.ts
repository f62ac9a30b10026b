import type { DeferredReply } from '../../actor/deferred-reply.js'

/** A deferred reply of an isolated actor: its host has the ask. */
export class IsolatedDeferredReply<T> implements DeferredReply<T> {
  readonly #onValue: (value: T) => void
  readonly #onError: (error: Error) => void
  settled = false

  constructor(onValue: (value: T) => void, onError: (error: Error) => void) {
    this.#onValue = onValue
    this.#onError = onError
  }

  static forNobody<T>(): IsolatedDeferredReply<T> {
    const nobody = (): void => undefined
    return new IsolatedDeferredReply<T>(nobody, nobody)
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
