import { token, type Clock, type Random, type Timer, type Token } from '../determinism/index.js'
import type { Actor, ActorClass } from './actor.js'
import type { SpawnOptions } from './child-spec.js'
import type { DeferredReply } from './deferred-reply.js'
import type { Logger } from './logger.js'
import type { ActorRef, SpawnedRef } from './ref.js'

/** A number that grows with each incarnation of a path: guard your own stores by refusing lower ones. */
export interface Fence {
  readonly path: string
  readonly incarnation: number
}

/**
 * What an actor can do. Belongs to one incarnation: after its end every member that acts throws
 * ERR_STALE_INCARNATION.
 */
export interface ActorContext {
  readonly path: string
  /** Grows with each start of an actor on this runtime; unique among them. */
  readonly incarnation: number
  readonly self: ActorRef
  readonly parent: ActorRef | undefined
  /** In the order they were started. */
  readonly children: readonly ActorRef[]
  /** Aborts when the incarnation begins to end: stop long work early. */
  readonly signal: AbortSignal
  readonly fence: Fence
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger

  /** This actor's own address, with its messages. */
  selfAs<A extends Actor>(type: ActorClass<A>): ActorRef<A>

  /**
   * Starts a child; resolves once its `onStart` did. A leased child of that name that outlived the incarnation before
   * is adopted instead.
   *
   * @throws ERR_ACTOR_NAME, ERR_NAME_TAKEN, ERR_ACTOR_TYPE; ERR_ACTOR_START with the cause when it failed to start
   */
  spawn<A extends Actor>(type: ActorClass<A>, options: SpawnOptions): Promise<SpawnedRef<A>>

  /** Stops a child; resolves once it is gone, also if it had ended before. It is not restarted. */
  stop(child: ActorRef): Promise<void>

  /** Ends a child without its hooks; its child spec decides whether it is started again. */
  kill(child: ActorRef): void

  /** Stops this actor once the current message is done. */
  stopSelf(): void

  /** `onTerminated` is told once when that actor dies, soon if it is dead already. Ends with the incarnation. */
  watch(ref: ActorRef): void
  /** After it `onTerminated` is not told of that actor, also if its death was on the way. */
  unwatch(ref: ActorRef): void

  /** Runs `callback` as a message of this actor, once, after `delayMs`. Dies with the incarnation. */
  after(delayMs: number, callback: () => void | Promise<void>): Timer
  /** Runs `callback` as a message every `periodMs`; a turn is left out while the one before still waits. */
  every(periodMs: number, callback: () => void | Promise<void>): Timer

  /**
   * Goes on with other messages while `work` is under way; its result is handled as a message. Without `onError` a
   * rejection fails the actor.
   */
  pipeToSelf<T>(
    work: Promise<T>,
    onValue: (value: T) => void | Promise<void>,
    onError?: (error: unknown) => void | Promise<void>,
  ): void

  /**
   * Runs `callback` between two messages: at once if none is under way, else as soon as that one is done. For what
   * happens beside the mailbox, such as a word of shared memory that changed; in a thread it saves the way through the
   * mailbox and back. It may not wait, and fails the actor by throwing. Nothing runs once the incarnation ends.
   */
  interject(callback: () => void): void

  /** Answers the ask under way later: return what this gives, and settle it when the answer is known. */
  deferReply<T>(): DeferredReply<T>

  /** Real work was done: a kill or a lost node after this counts as no failure against the restart intensity. */
  progress(): void

  /** Binds a ref that came inside a payload (only top-level arguments are bound by themselves). */
  ref<A>(ref: ActorRef<A>): ActorRef<A>

  /** The address of an actor by its path. Nothing is checked: asks to a path without an actor fail. */
  lookup<A extends Actor>(type: ActorClass<A>, path: string): ActorRef<A>
}

/** Injects an actor's context: `constructor(@inject(ActorContext) ctx: ActorContext)`. */
export const ActorContext: Token<ActorContext> = token<ActorContext>('ActorContext')

/** Injects what `spawn` was given as `args`. */
export const Args: Token<unknown> = token<unknown>('Args')
