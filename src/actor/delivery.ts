import type { ChainLink } from './chain.js'

/** What a message brings besides its payload: absent for a plain tell. An ask's end, local or remote. */
export interface Delivery {
  /** The asks that wait for this message, innermost first. */
  readonly chain: ChainLink | undefined
  /** The asker gave up (timeout, abort): the message is not worth handling any more. */
  readonly expired: boolean
  settle(value: unknown): void
  fail(error: Error): void
}
