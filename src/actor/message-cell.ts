import { Rejected, type TroupeError } from '../errors.js'
import { PendingAsk, type AskOptions } from './ask.js'
import { cycleError, failedError, goneError, mailboxFullError } from './cell-errors.js'
import { chainPaths, type ChainLink } from './chain.js'
import type { ChildSpec } from './child-spec.js'
import { STOPPED, type DeathReason } from './death.js'
import type { Delivery } from './delivery.js'
import type { Runnable } from './dispatcher.js'
import { events } from './events.js'
import type { Host } from './host.js'
import { inbound, type Inbound } from './inbound.js'
import type { LocalIncarnation } from './local-incarnation.js'
import { Mailbox, payloadBytes } from './mailbox.js'
import type { ActorType, HandlerEntry } from './protocol.js'
import { bindRefs, type RefTarget, type Sender, type Watcher } from './ref.js'
import { SuspectedAsk } from './suspected-ask.js'
import type { ActorSystem } from './system.js'

/** `placing`: not yet given to a place to run; `restarting`: between two incarnations, backoff included. */
export type CellState = 'placing' | 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped'

/** A callback as a message: timers, piped results, deaths. Ignores the mailbox's bounds. */
const RUN: HandlerEntry = {
  name: '$run',
  owner: undefined,
  packed: false,
  schema: undefined,
  invoke: callback => (callback as () => unknown)(),
  get several() {
    return RUN
  },
}

/**
 * The half of a cell that deals with messages: mailbox, dispatch, replies, watchers. One message at a time; a result
 * counts only while the incarnation lives and `sequence` still names the message it belongs to.
 */
export abstract class MessageCell implements RefTarget, Runnable {
  readonly system: ActorSystem
  readonly name: string
  readonly type: ActorType
  readonly spec: ChildSpec

  state: CellState = 'placing'
  incarnation: LocalIncarnation | undefined
  /** A message, a start or a hook is under way. */
  busy = false
  /** The delivery of the message under way. */
  current: Delivery | undefined
  /** How the actor ended for good. */
  protected death: DeathReason | undefined

  #mailbox: Mailbox | undefined
  #scheduled = false
  #watchers: Set<Watcher> | undefined

  constructor(system: ActorSystem, name: string, type: ActorType, spec: ChildSpec) {
    this.system = system
    this.name = name
    this.type = type
    this.spec = spec
  }

  abstract get path(): string

  /** The current incarnation failed: a handler or hook threw, or its thread ended. */
  abstract failed(cause: unknown): void

  /** What was under way is done. */
  protected abstract onIdle(): void

  get mailboxMessages(): number {
    return this.#mailbox?.size ?? 0
  }

  get mailboxBytes(): number {
    return this.#mailbox?.bytes ?? 0
  }

  // sending

  tell(handler: HandlerEntry, payload: unknown, sender: Sender | undefined): void {
    if (this.state === 'stopping' || this.state === 'stopped') {
      const successor = this.#successor()
      if (successor === undefined) this.#deadLetter(handler, sender, 'the actor has stopped')
      else successor.tell(handler, payload, sender)
    } else if (!this.enqueue(handler, this.#outgoing(handler, payload), undefined)) {
      this.#deadLetter(handler, sender, 'the mailbox is full')
    }
  }

  ask(
    handler: HandlerEntry,
    payload: unknown,
    options: AskOptions | undefined,
    sender: Sender | undefined,
  ): Promise<unknown> {
    const successor = this.#successor()
    if (successor !== undefined) return successor.ask(handler, payload, options, sender)
    const ask = new PendingAsk(this.system, this, handler.name, options, sender)
    if (ask.settled) return ask.promise
    try {
      this.deliver(handler, this.#outgoing(handler, payload), ask)
    } catch (error) {
      ask.fail(error as Error)
    }
    return ask.promise
  }

  /** What goes into the mailbox: the payload itself, or for an isolated actor a frame, refused here if it cannot be one. */
  #outgoing(handler: HandlerEntry, payload: unknown): unknown {
    const { isolation } = this.spec
    if (isolation !== 'inline') return this.system.seal(handler, payload, isolation)
    if (!this.system.strictPayloads) return payload
    return this.system.transmit(payload, handler.packed, `${this.type.name}.${handler.name}`)
  }

  /** Takes an ask, a local one or one that came from elsewhere; what stands in its way is its failure. */
  deliver(handler: HandlerEntry, payload: unknown, delivery: Delivery): void {
    if (this.state === 'stopping' || this.state === 'stopped') {
      delivery.fail(goneError(this.path, this.death ?? STOPPED))
    } else if (delivery.chain !== undefined && this.#waitsFor(delivery.chain)) {
      const host = this.incarnation?.host
      if (host === undefined) delivery.fail(this.#cycleError(handler, delivery.chain))
      else this.#deliverSuspected(host, handler, payload, delivery, delivery.chain)
    } else if (!this.enqueue(handler, payload, delivery)) {
      delivery.fail(this.#fullError(handler))
    }
  }

  /** An isolated actor may be done with its message, and the news of it on the way: its host knows after one more. */
  #deliverSuspected(
    host: Host,
    handler: HandlerEntry,
    payload: unknown,
    delivery: Delivery,
    chain: ChainLink,
  ): void {
    const suspected = new SuspectedAsk(delivery)
    if (!this.enqueue(handler, payload, suspected)) {
      delivery.fail(this.#fullError(handler))
      return
    }
    void host.caughtUp().then(() => {
      if (this.#waitsFor(chain)) suspected.refuse(this.#cycleError(handler, chain))
    })
  }

  #cycleError(handler: HandlerEntry, chain: ChainLink): TroupeError {
    return cycleError(handler.name, [...chainPaths(chain), this.path])
  }

  #fullError(handler: HandlerEntry): TroupeError {
    const { path, spec, mailboxMessages: messages, mailboxBytes: bytes } = this
    const { maxMessages, maxBytes } = spec
    return mailboxFullError(handler.name, { path, messages, maxMessages, bytes, maxBytes })
  }

  /** Puts a message into the mailbox; false if that would break its bounds. */
  enqueue(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): boolean {
    const mailbox = (this.#mailbox ??= new Mailbox())
    // a sealed message that is no frame is an array, of its name and arguments
    const bytes = payloadBytes(payload, handler.packed || this.spec.isolation !== 'inline')
    if (mailbox.size >= this.spec.maxMessages || mailbox.bytes + bytes > this.spec.maxBytes) return false
    mailbox.push(handler, payload, delivery, bytes)
    this.#wake()
    return true
  }

  /** Runs a callback as a message, whatever the mailbox holds. */
  run(callback: () => unknown): void {
    ;(this.#mailbox ??= new Mailbox()).push(RUN, callback, undefined, 0)
    this.#wake()
  }

  /** Is it busy with a message of this very chain? Then the ask would wait for itself. */
  #waitsFor(chain: ChainLink): boolean {
    if (!this.busy || this.incarnation === undefined) return false
    const { number, sequence } = this.incarnation
    for (let at: ChainLink | undefined = chain; at !== undefined; at = at.parent) {
      if (at.incarnation === number && at.sequence === sequence && at.path === this.path) return true
    }
    return false
  }

  /** A ref names a path: once this actor is gone, whoever has the name now is meant. */
  #successor(): RefTarget | undefined {
    if (this.state !== 'stopped') return undefined
    return this.system.find(this.path) ?? this.system.remote?.(this.path)
  }

  // handling

  get runnable(): boolean {
    return this.#scheduled
  }

  drain(budget: number): number {
    const mailbox = this.#mailbox as Mailbox
    let handled = 0
    while (handled < budget && mailbox.size > 0 && this.state === 'running' && !this.busy) {
      mailbox.take()
      handled++
      const { delivery } = mailbox
      if (delivery === undefined || !delivery.expired) {
        this.#handle(mailbox.handler as HandlerEntry, mailbox.payload, delivery)
      }
    }
    mailbox.release()
    this.#scheduled = mailbox.size > 0 && this.state === 'running' && !this.busy
    return handled
  }

  #wake(): void {
    if (this.#scheduled || this.busy || this.state !== 'running') return
    this.#scheduled = true
    this.system.dispatcher.schedule(this)
  }

  #handle(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): void {
    const incarnation = this.incarnation as LocalIncarnation
    // an isolated actor's thread goes by the name anyway
    if (handler.owner !== this.type.ctor && handler.owner !== undefined && incarnation.host === undefined) {
      this.#handleByName(handler, payload, delivery)
      return
    }
    const sequence = ++incarnation.sequence
    this.busy = true
    this.current = delivery
    let result: unknown
    try {
      if (incarnation.host !== undefined && handler !== RUN) {
        result = incarnation.host.invoke(handler, payload, delivery)
      } else {
        const bound =
          typeof payload === 'object' && payload !== null
            ? bindRefs(payload, handler.packed, incarnation)
            : payload
        result = handler.invoke.call(incarnation.instance as never, bound)
      }
      // here, since a reply's `then` is the user's, and may throw
      if (isPromiseLike(result)) {
        result.then(
          value => this.#completed(incarnation, sequence, delivery, value),
          (error: unknown) => this.#threw(incarnation, sequence, error),
        )
        return
      }
    } catch (error) {
      this.#threw(incarnation, sequence, error)
      return
    }
    this.#completed(incarnation, sequence, delivery, result)
  }

  /** From a sender that took this actor for one of another class: a subclass, or who has had the path since. */
  #handleByName(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): void {
    const args = handler.packed ? (payload as unknown[]) : payload === undefined ? [] : [payload]
    let message: Inbound
    try {
      message = inbound(this.type, handler.name, args)
    } catch (error) {
      if (delivery === undefined) this.#deadLetter(handler, undefined, (error as Error).message)
      else delivery.fail(error as Error)
      return
    }
    this.#handle(message.handler, message.payload, delivery)
  }

  #completed(
    incarnation: LocalIncarnation,
    sequence: number,
    delivery: Delivery | undefined,
    value: unknown,
  ): void {
    // an ended incarnation, or one that the cell gave up waiting for, has no effects
    if (incarnation.ended || incarnation.sequence !== sequence) return
    // a handler that deferred its reply has put something else in the delivery's place
    if (delivery !== undefined && this.current === delivery) {
      let reply = value
      if (this.system.strictPayloads && incarnation.host === undefined) {
        try {
          reply = this.system.transmit(value, false, `a reply of ${this.type.name}`)
        } catch (error) {
          this.#threw(incarnation, sequence, error)
          return
        }
      }
      delivery.settle(reply)
    }
    this.idle()
  }

  #threw(incarnation: LocalIncarnation, sequence: number, error: unknown): void {
    if (incarnation.ended || incarnation.sequence !== sequence) return
    // its delivery, or what stands for it since the handler deferred the reply
    const waiting = this.current
    if (error instanceof Rejected) {
      if (waiting !== undefined) waiting.fail(error)
      else this.#rejectedTell(error)
      this.idle()
      return
    }
    waiting?.fail(failedError(this.path, error))
    this.failed(error)
  }

  /** What was under way is done, or given up. */
  protected idle(): void {
    this.busy = false
    this.current = undefined
    this.onIdle()
    if (this.#mailbox !== undefined && this.#mailbox.size > 0) this.#wake()
  }

  /** Fails and loses what the mailbox still holds. */
  protected flush(reason: DeathReason): void {
    const mailbox = this.#mailbox
    if (mailbox === undefined) return
    while (mailbox.size > 0) {
      mailbox.take()
      const { delivery, handler } = mailbox
      if (delivery?.expired === true) continue
      if (delivery !== undefined) delivery.fail(goneError(this.path, reason))
      else if (handler !== RUN) this.#deadLetter(handler as HandlerEntry, undefined, 'the actor has stopped')
    }
    mailbox.release()
  }

  /** The delivery of a message that waits, if one is meant. */
  findWaiting(isMeant: (delivery: Delivery) => boolean): Delivery | undefined {
    return this.#mailbox?.findDelivery(isMeant)
  }

  #deadLetter(handler: HandlerEntry, sender: Sender | undefined, cause: string): void {
    this.system.deadLetter(this.path, handler.name, sender?.path, cause)
  }

  #rejectedTell({ code, message }: Rejected): void {
    this.system.counters.rejectedTells++
    if (events.rejectedTell.hasSubscribers) {
      events.rejectedTell.publish({ runtime: this.system.name, path: this.path, code, message })
    }
  }

  // watching

  watch(watcher: Watcher): void {
    if (this.death === undefined) (this.#watchers ??= new Set()).add(watcher)
    else {
      const successor = this.system.find(this.path)
      if (successor === undefined) watcher.terminated(this, this.incarnation?.number ?? 0, this.death)
      else successor.watch(watcher)
    }
  }

  unwatch(watcher: Watcher): void {
    this.#watchers?.delete(watcher)
    this.#successor()?.unwatch(watcher)
  }

  protected tellWatchers(reason: DeathReason): void {
    const watchers = this.#watchers
    this.#watchers = undefined
    if (watchers === undefined) return
    for (const watcher of watchers) watcher.terminated(this, this.incarnation?.number ?? 0, reason)
  }
}

/** What a handler may return when it is not done. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
  )
}
