import { TroupeError } from '../errors.js'
import type { ChainLink } from './chain.js'
import type { Delivery } from './delivery.js'
import type { AskDeadlines } from './ask-deadlines.js'
import { ActorRef, type Sender } from './ref.js'

export interface AskOptions {
  /**
   * Milliseconds until ERR_ASK_TIMEOUT; the outcome is then unknown, and nothing is sent again.
   * @default 5000, or the runtime's askTimeoutMs
   */
  readonly timeoutMs?: number
  /** Gives the ask up with ERR_ASK_ABORTED: not handled if it still waits in the mailbox, else of unknown outcome. */
  readonly signal?: AbortSignal
}

export const DEFAULT_ASK_TIMEOUT_MS = 5_000

/** What an ask needs to know of the runtime. */
export interface AskEnvironment {
  readonly deadlines: AskDeadlines
  readonly askTimeoutMs: number
  /** A reply that came after its ask had settled. */
  lateReply(path: string, message: string): void
}

/**
 * An ask under way in this runtime: a promise, a deadline, and the delivery that the target settles. It settles
 * exactly once.
 */
export class PendingAsk implements Delivery {
  readonly promise: Promise<unknown>
  readonly chain: ChainLink | undefined
  /** Where it stands in the deadlines; owned by them. */
  deadline = 0
  before: PendingAsk | undefined
  after: PendingAsk | undefined
  expired = false

  readonly #environment: AskEnvironment
  readonly #target: { readonly path: string }
  readonly #message: string
  readonly #timeoutMs: number
  readonly #asker: Sender | undefined
  #resolve!: (value: unknown) => void
  #reject!: (error: Error) => void
  readonly #signal: AbortSignal | undefined
  #settled = false

  constructor(
    environment: AskEnvironment,
    target: { readonly path: string },
    message: string,
    options: AskOptions | undefined,
    asker: Sender | undefined,
  ) {
    this.#environment = environment
    this.#target = target
    this.#message = message
    this.#timeoutMs = options?.timeoutMs ?? environment.askTimeoutMs
    this.#asker = asker
    this.chain = asker?.link()
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (!(this.#timeoutMs > 0)) {
      this.fail(
        new TroupeError(
          'ERR_INVALID_OPTION',
          `timeoutMs of an ask must be more than 0, got ${this.#timeoutMs}`,
          {
            data: { option: 'timeoutMs', value: this.#timeoutMs },
          },
        ),
      )
      return
    }
    environment.deadlines.add(this, this.#timeoutMs)
    const signal = options?.signal
    if (signal === undefined) return
    this.#signal = signal
    if (signal.aborted) this.#onAbort()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  get settled(): boolean {
    return this.#settled
  }

  settle(value: unknown): void {
    // a ref in the hands of the one who answered would die with it
    if (this.#finish()) this.#resolve(value instanceof ActorRef ? value.boundTo(this.#asker) : value)
  }

  fail(error: Error): void {
    if (this.#finish()) this.#reject(error)
  }

  /** The deadline passed. */
  timedOut(): void {
    this.#giveUp(
      new TroupeError(
        'ERR_ASK_TIMEOUT',
        `no reply to '${this.#message}' from ${this.#target.path} within ${this.#timeoutMs} ms`,
        { data: { path: this.#target.path, message: this.#message, timeoutMs: this.#timeoutMs } },
      ),
    )
  }

  readonly #onAbort = (): void => {
    if (!this.#settled) this.aborted()
    this.#giveUp(
      new TroupeError('ERR_ASK_ABORTED', `the ask '${this.#message}' to ${this.#target.path} was aborted`, {
        data: { path: this.#target.path, message: this.#message },
        cause: this.#signal?.reason,
      }),
    )
  }

  /** The asker gives it up: whoever has it may be told. */
  protected aborted(): void {}

  #giveUp(error: TroupeError): void {
    if (this.#settled) return
    this.fail(error)
    this.expired = true
  }

  #finish(): boolean {
    if (this.#settled) {
      if (this.expired) this.#environment.lateReply(this.#target.path, this.#message)
      return false
    }
    this.#settled = true
    this.#environment.deadlines.remove(this)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    return true
  }
}
