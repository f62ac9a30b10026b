import type { Token } from '../determinism/index.js'
import type { ActorContext } from './context.js'

/** Resolves a token for the actor under construction. */
export type Resolve = <T>(token: Token<T>) => T

const outside: Resolve = () => {
  throw new Error('no actor is under construction')
}

/**
 * The actor under construction. JavaScript constructors take no hidden argument, and construction is synchronous, so
 * one mutable record does: set around `new`, restored after.
 */
export const constructing: { context: ActorContext | undefined; resolve: Resolve } = {
  context: undefined,
  resolve: outside,
}

/** Runs `construct` with the given context and resolver in place. */
export function withConstruction<T>(context: ActorContext, resolve: Resolve, construct: () => T): T {
  const { context: outerContext, resolve: outerResolve } = constructing
  constructing.context = context
  constructing.resolve = resolve
  try {
    return construct()
  } finally {
    constructing.context = outerContext
    constructing.resolve = outerResolve
  }
}
