import { PendingAsk, type AskEnvironment, type AskOptions } from '../../actor/ask.js'
import type { Sender } from '../../actor/ref.js'
import { TroupeError } from '../../errors.js'
import type { Peer } from './peer.js'

/** An ask to another node: known by its correlation until it settles. */
export class RemoteAsk extends PendingAsk {
  /** Path of the actor that is asked. */
  readonly path: string
  readonly correlation: number
  readonly deadlineMs: number
  /** Where it is, once it was sent. */
  peer: Peer | undefined = undefined
  // the constructor of PendingAsk may settle it, before this is set
  declare private readonly table: AskTable | undefined

  constructor(
    environment: AskEnvironment,
    target: { readonly path: string },
    message: string,
    options: AskOptions | undefined,
    asker: Sender | undefined,
    table: AskTable,
    correlation: number,
    nowMs: number,
  ) {
    super(environment, target, message, options, asker)
    this.table = table
    this.path = target.path
    this.correlation = correlation
    this.deadlineMs = nowMs + (options?.timeoutMs ?? environment.askTimeoutMs)
  }

  protected override aborted(): void {
    this.table?.abandon(this)
  }

  override settle(value: unknown): void {
    this.table?.forget(this)
    super.settle(value)
  }

  override fail(error: Error): void {
    this.table?.forget(this)
    super.fail(error)
  }
}

/** The asks of this node to others that wait for a reply. */
export class AskTable {
  readonly #asks = new Map<number, RemoteAsk>()
  readonly #maxPending: number
  readonly #onAbandoned: (ask: RemoteAsk) => void
  #correlations = 0

  /** @param onAbandoned told of asks that were sent and are not wanted any more */
  constructor(maxPending: number, onAbandoned: (ask: RemoteAsk) => void) {
    this.#maxPending = maxPending
    this.#onAbandoned = onAbandoned
  }

  get pending(): number {
    return this.#asks.size
  }

  /** Makes an ask; it has failed already if there are too many, or its options are bad. */
  open(
    environment: AskEnvironment,
    target: { readonly path: string },
    message: string,
    options: AskOptions | undefined,
    asker: Sender | undefined,
    nowMs: number,
  ): RemoteAsk {
    const correlation = ++this.#correlations
    const ask = new RemoteAsk(environment, target, message, options, asker, this, correlation, nowMs)
    if (ask.settled) return ask
    if (this.#asks.size >= this.#maxPending) {
      ask.fail(
        new TroupeError(
          'ERR_TOO_MANY_ASKS',
          `'${message}' to ${target.path}: ${this.#asks.size} asks to other nodes wait already, the limit is ${this.#maxPending}`,
          { data: { path: target.path, message, maxPendingAsks: this.#maxPending } },
        ),
      )
      return ask
    }
    this.#asks.set(correlation, ask)
    return ask
  }

  get(correlation: number): RemoteAsk | undefined {
    return this.#asks.get(correlation)
  }

  /** Whatever was sent to that node may or may not have been handled. */
  nodeLost(peer: Peer): void {
    for (const ask of [...peer.asks]) {
      ask.fail(
        new TroupeError(
          'ERR_NODE_LOST',
          `node ${peer.address.id}, where the ask was sent, is lost: the outcome is unknown`,
          { data: { node: peer.address.id, incarnation: peer.address.incarnation } },
        ),
      )
    }
  }

  failAll(error: Error): void {
    for (const ask of [...this.#asks.values()]) ask.fail(error)
  }

  abandon(ask: RemoteAsk): void {
    if (ask.peer !== undefined) this.#onAbandoned(ask)
  }

  forget(ask: RemoteAsk): void {
    this.#asks.delete(ask.correlation)
    ask.peer?.asks.delete(ask)
  }
}
