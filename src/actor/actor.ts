import { TroupeError } from '../errors.js'
import type { Token } from '../determinism/index.js'
import { constructing } from './constructing.js'
import type { ActorContext } from './context.js'
import type { DeathReason, StartCause, Terminated } from './death.js'

/**
 * The base of every actor: an object with a mailbox that handles one message at a time, also across `await`.
 *
 * Public methods marked with `@handles()` are its messages; the hooks below are not. An error that a handler throws
 * fails the actor, and its supervisor decides what follows; `throw new Rejected(…)` refuses one message instead.
 *
 * @example
 * ```ts
 * @actor('counter')
 * export class Counter extends Actor {
 *   #count = 0
 *   @handles() add(by: number) { this.#count += by }
 *   @handles() count() { return this.#count }
 * }
 * ```
 */
export abstract class Actor {
  readonly #ctx: ActorContext | undefined

  constructor() {
    this.#ctx = constructing.context
  }

  /**
   * What the actor can do: spawn, watch, timers, log. Bound to this incarnation: it throws ERR_STALE_INCARNATION once
   * the incarnation has ended, so code that wakes from an old `await` has no effect.
   */
  get ctx(): ActorContext {
    if (this.#ctx === undefined) {
      throw new TroupeError(
        'ERR_ACTOR_TYPE',
        `${this.constructor.name} was constructed with 'new', outside a runtime`,
      )
    }
    return this.#ctx
  }

  /**
   * The value of a token, for classes that do without constructor parameters and decorators. Only in the constructor
   * and field initialisers.
   */
  protected inject<T>(token: Token<T>): T {
    const { context, scopeOf } = constructing
    if (context === undefined || context !== this.#ctx || scopeOf === undefined) {
      throw new TroupeError(
        'ERR_ACTOR_TYPE',
        `${this.constructor.name} called inject() outside its constructor`,
      )
    }
    return scopeOf(context).resolve(token)
  }

  /** Runs before the first message; the mailbox stays closed until it resolves. A throw fails the start. */
  onStart?(cause: StartCause): void | Promise<void>

  /**
   * Runs when the incarnation ends: on stop, and on failure before the next one starts. Not when it was killed.
   * Its linked children have stopped by then. Must finish within the child's `shutdownMs`.
   */
  onStop?(reason: DeathReason): void | Promise<void>

  /** Told once for each watched actor that died. */
  onTerminated?(terminated: Terminated): void | Promise<void>
}

// oxlint-disable-next-line typescript/no-explicit-any -- constructor parameters are injected, their types are free
export type ActorClass<A extends Actor = Actor> = new (...injected: any[]) => A
