import { TroupeError } from '../errors.js'
import type { DeferredReply } from './deferred-reply.js'
import type { Delivery } from './delivery.js'

/** A deferred reply to an ask of this runtime. */
export class LocalDeferredReply<T> implements DeferredReply<T> {
  readonly #delivery: Delivery
  readonly #onSettled: () => void
  settled = false

  constructor(delivery: Delivery, onSettled: () => void) {
    this.#delivery = delivery
    this.#onSettled = onSettled
  }

  resolve(value: T): void {
    if (this.#settle()) this.#delivery.settle(value)
  }

  reject(error: Error): void {
    if (this.#settle()) this.#delivery.fail(error)
  }

  /** The incarnation ended before it was answered. */
  lost(path: string): void {
    this.reject(
      new TroupeError('ERR_REPLY_LOST', `${path} ended before it gave the reply it had deferred`, {
        data: { path },
      }),
    )
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.#onSettled()
    return true
  }
}
