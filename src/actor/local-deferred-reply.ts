import { TroupeError } from '../errors.js'
import type { DeferredReply } from './deferred-reply.js'
import type { Delivery } from './delivery.js'

/** A deferred reply to an ask of this runtime. */
export class LocalDeferredReply<T> implements DeferredReply<T> {
  readonly #delivery: Delivery
  readonly #transmit: (value: T) => unknown
  readonly #onSettled: () => void
  settled = false

  /** @param transmit the value as it reaches the asker; throws ERR_PAYLOAD on one that cannot */
  constructor(delivery: Delivery, transmit: (value: T) => unknown, onSettled: () => void) {
    this.#delivery = delivery
    this.#transmit = transmit
    this.#onSettled = onSettled
  }

  resolve(value: T): void {
    if (this.settled) return
    // before it counts as settled: what cannot travel can still be rejected
    const reply = this.#transmit(value)
    this.#settle()
    this.#delivery.settle(reply)
  }

  reject(error: Error): void {
    if (this.settled) return
    this.#settle()
    this.#delivery.fail(error)
  }

  /** The incarnation ended before it was answered. */
  lost(path: string): void {
    this.reject(
      new TroupeError('ERR_REPLY_LOST', `${path} ended before it gave the reply it had deferred`, {
        data: { path },
      }),
    )
  }

  #settle(): void {
    this.settled = true
    this.#onSettled()
  }
}
