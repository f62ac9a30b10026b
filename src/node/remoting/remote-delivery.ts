import type { ChainLink } from '../../actor/chain.js'
import type { Delivery } from '../../actor/delivery.js'
import { Rejected } from '../../errors.js'
import type { Peer } from './peer.js'
import type { Remoting } from './remoting.js'

/** An ask that came from another node: its outcome goes back there. */
export class RemoteDelivery implements Delivery {
  readonly chain: ChainLink | undefined
  readonly #remoting: Remoting
  readonly #peer: Peer
  readonly #path: string
  readonly #message: string
  readonly #correlation: number
  readonly #deadlineMs: number
  #abandoned = false

  constructor(
    remoting: Remoting,
    peer: Peer,
    path: string,
    message: string,
    correlation: number,
    chain: ChainLink | undefined,
    msLeft: number,
  ) {
    this.#remoting = remoting
    this.#peer = peer
    this.#path = path
    this.#message = message
    this.#correlation = correlation
    this.chain = chain
    this.#deadlineMs = remoting.nowMs + msLeft
  }

  /** Nobody waits for it any more: its time is over, the asker's node is, or the asker gave it up. */
  get expired(): boolean {
    return this.#abandoned || this.#peer.lost || this.#remoting.nowMs >= this.#deadlineMs
  }

  /** Is it the ask that this node calls so? */
  answers(peer: Peer, correlation: number): boolean {
    return this.#peer === peer && this.#correlation === correlation
  }

  abandon(): void {
    this.#abandoned = true
  }

  settle(value: unknown): void {
    this.#remoting.replies.reply(this.#peer, this.#path, this.#message, this.#correlation, value)
  }

  fail(error: Error): void {
    const { replies } = this.#remoting
    if (error instanceof Rejected)
      replies.refuse(this.#peer, this.#path, this.#message, this.#correlation, error)
    else replies.fail(this.#peer, this.#path, this.#message, this.#correlation, error)
  }
}
