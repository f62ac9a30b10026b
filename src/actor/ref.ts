import { TroupeError } from '../errors.js'
import type { Actor } from './actor.js'
import type { AskOptions } from './ask.js'
import type { ChainLink } from './chain.js'
import type { DeferredReply } from './deferred-reply.js'
import type { DeathReason } from './death.js'
import type { ActorType, HandlerEntry } from './protocol.js'

/** The names of an actor's messages: its public methods but for what `Actor` declares. */
export type MessageName<A> = {
  [K in keyof A]: K extends keyof Actor ? never : A[K] extends (...args: never[]) => unknown ? K : never
}[keyof A]

/** What an asker gets for what a handler returns. */
export type ReplyOf<R> = Awaited<R> extends infer T ? (T extends DeferredReply<infer U> ? U : T) : never

/** `ref.tell`: send and forget. */
export type Tell<A> = {
  readonly [K in keyof A as K extends MessageName<A> ? K : never]: A[K] extends (...args: infer P) => unknown
    ? (...args: P) => void
    : never
}

/** `ref.ask`: send and get the reply, a typed error, or ERR_ASK_TIMEOUT. */
export type Ask<A> = {
  readonly [K in keyof A as K extends MessageName<A> ? K : never]: A[K] extends (...args: infer P) => infer R
    ? (...args: P) => Promise<ReplyOf<R>>
    : never
} & {
  /** The same messages with a timeout or an AbortSignal of their own. */
  with(options: AskOptions): Ask<A>
}

/** Whoever sends, watches or asks: the incarnation that a ref is bound to. */
export interface Sender {
  readonly path: string
  /** Its incarnation has ended: it may have no more effects. */
  readonly ended: boolean
  /** The link that an ask of this sender adds to the chain; undefined outside a message. */
  link(): ChainLink | undefined
}

/** Whoever is told of a death. */
export interface Watcher {
  readonly path: string
  terminated(target: RefTarget, incarnation: number, reason: DeathReason): void
}

/** What a ref sends to: a local cell, or a stand-in for one in another thread or on another node. */
export interface RefTarget {
  readonly path: string
  tell(handler: HandlerEntry, payload: unknown, sender: Sender | undefined): void
  ask(
    handler: HandlerEntry,
    payload: unknown,
    options: AskOptions | undefined,
    sender: Sender | undefined,
  ): Promise<unknown>
  /** Tells the watcher once when the actor dies, at once if it is dead. A second watch by the same one changes nothing. */
  watch(watcher: Watcher): void
  unwatch(watcher: Watcher): void
  /** Ends the actor for good. Only where its spawner is: here, or in the thread of its parent. */
  stop?(): void | Promise<void>
}

/**
 * An actor's address. It stays valid over restarts, and can be put into messages. In the hands of an actor it is bound
 * to the incarnation that got it, and throws ERR_STALE_INCARNATION after that one's end.
 */
export class ActorRef<A = unknown> {
  readonly #target: RefTarget
  readonly #type: ActorType
  readonly #sender: Sender | undefined
  #tell: object | undefined
  #ask: object | undefined
  declare private readonly actorOf: A

  constructor(target: RefTarget, type: ActorType, sender: Sender | undefined) {
    this.#target = target
    this.#type = type
    this.#sender = sender
  }

  /** The actor's stable name: '/job/ps-0'. */
  get path(): string {
    return this.#target.path
  }

  /** The registered name of its class. */
  get typeName(): string {
    return this.#type.name
  }

  get tell(): Tell<A> {
    return (this.#tell ??= new this.#type.TellFacade(this)) as Tell<A>
  }

  get ask(): Ask<A> {
    return (this.#ask ??= new this.#type.AskFacade(this, undefined)) as Ask<A>
  }

  /** @internal */
  send(handler: HandlerEntry, payload: unknown): void {
    const sender = this.#sender
    if (sender !== undefined && sender.ended) throw staleSender(sender)
    this.#target.tell(handler, payload, sender)
  }

  /** @internal */
  request(handler: HandlerEntry, payload: unknown, options: AskOptions | undefined): Promise<unknown> {
    const sender = this.#sender
    if (sender !== undefined && sender.ended) return Promise.reject(staleSender(sender))
    return this.#target.ask(handler, payload, options, sender)
  }

  /** @internal The same address in other hands. */
  boundTo(sender: Sender | undefined): ActorRef<A> {
    return this.#sender === sender ? this : new ActorRef<A>(this.#target, this.#type, sender)
  }

  /** @internal */
  get target(): RefTarget {
    return this.#target
  }

  /** @internal */
  get type(): ActorType {
    return this.#type
  }

  /** @internal Whom it is bound to. */
  get sender(): Sender | undefined {
    return this.#sender
  }

  toString(): string {
    return `ActorRef(${this.path})`
  }
}

/** What `spawn` gives: a ref that can be disposed of, which stops the actor. A ref that has travelled cannot. */
export class SpawnedRef<A = unknown> extends ActorRef<A> implements AsyncDisposable {
  async [Symbol.asyncDispose](): Promise<void> {
    await this.target.stop?.()
  }
}

export function staleSender(sender: Sender): TroupeError {
  return new TroupeError('ERR_STALE_INCARNATION', `an ended incarnation of ${sender.path} tried to act`, {
    data: { path: sender.path },
  })
}

/** Binds the refs among a message's top-level arguments to the one that receives it. */
export function bindRefs(payload: unknown, packed: boolean, receiver: Sender): unknown {
  if (payload instanceof ActorRef) return payload.boundTo(receiver)
  if (packed) {
    const list = payload as unknown[]
    for (let i = 0; i < list.length; i++) {
      const argument = list[i]
      if (argument instanceof ActorRef) list[i] = argument.boundTo(receiver)
    }
  }
  return payload
}

/** Binds the refs in spawn arguments: the value itself, or the fields of a plain object or array. */
export function bindArgs(args: unknown, receiver: Sender): unknown {
  if (args instanceof ActorRef) return args.boundTo(receiver)
  if (typeof args !== 'object' || args === null || !holdsRefs(args)) return args
  const bind = (value: unknown): unknown => (value instanceof ActorRef ? value.boundTo(receiver) : value)
  if (Array.isArray(args)) return args.map(bind)
  return Object.fromEntries(Object.entries(args).map(([key, value]) => [key, bind(value)]))
}

function holdsRefs(args: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(args)
  if (!Array.isArray(args) && prototype !== Object.prototype && prototype !== null) return false
  return Object.values(args).some(value => value instanceof ActorRef)
}
