import type { InjectionToken } from 'tsyringe'
import type { Actor } from './actor.js'
import type { ActorContext } from './context.js'
import type { ActorType } from './protocol.js'

/** A container, as one actor's constructor sees it. */
export interface Scope {
  resolve<T>(token: InjectionToken<T>): T
}

/** Makes the scope of an actor under construction; called only when something is injected. */
export type ScopeOf = (context: ActorContext) => Scope

/**
 * The actor under construction. JavaScript constructors take no hidden argument, and construction is synchronous, so
 * one mutable record does: set around `new`, restored after.
 */
export const constructing: { context: ActorContext | undefined; scopeOf: ScopeOf | undefined } = {
  context: undefined,
  scopeOf: undefined,
}

/** Constructs an actor with its context in place and its constructor parameters injected. */
export function constructActor(type: ActorType, context: ActorContext, scopeOf: ScopeOf): Actor {
  const { context: outerContext, scopeOf: outerScopeOf } = constructing
  constructing.context = context
  constructing.scopeOf = scopeOf
  try {
    return type.injected ? scopeOf(context).resolve<Actor>(type.ctor) : new type.ctor()
  } finally {
    constructing.context = outerContext
    constructing.scopeOf = outerScopeOf
  }
}
