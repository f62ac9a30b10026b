import type { ChainLink } from './chain.js'
import type { Delivery } from './delivery.js'

/** An ask that waits in a mailbox while it is found out whether it closes a cycle: then it fails, and is not handled. */
export class SuspectedAsk implements Delivery {
  readonly chain: ChainLink | undefined
  readonly ask: Delivery
  #refused = false

  constructor(ask: Delivery) {
    this.ask = ask
    this.chain = ask.chain
  }

  get expired(): boolean {
    return this.#refused || this.ask.expired
  }

  refuse(error: Error): void {
    this.#refused = true
    this.ask.fail(error)
  }

  settle(value: unknown): void {
    this.ask.settle(value)
  }

  fail(error: Error): void {
    this.ask.fail(error)
  }
}
