import type { DeathReason, StartCause, Terminated } from './death.js'
import type { Delivery } from './delivery.js'
import type { HandlerEntry } from './protocol.js'

/**
 * Runs the instance of an isolated actor elsewhere, on behalf of its cell, which stays here. One host serves one
 * incarnation. Its promises must settle also when the other side dies: the cell waits for them.
 */
export interface Host {
  /** Why the other side is gone; undefined while it is there. */
  readonly lost: Error | undefined
  /** Constructs the actor and runs `onStart`. */
  start(cause: StartCause): Promise<void>
  /** Handles one message. A handler that deferred its reply has told the incarnation so before this resolves. */
  invoke(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): Promise<unknown>
  /** Runs `onTerminated`. */
  terminated(terminated: Terminated): Promise<void>
  /** Resolves when everything that the other side said before this call is known here, or it is gone. */
  caughtUp(): Promise<void>
  /** The incarnation begins to end: aborts the signal on the other side. */
  abort(): void
  /** Runs `onStop`. */
  stop(reason: DeathReason): Promise<void>
  /** Ends the other side; `kill`: at once. Settles whatever is under way with an error. */
  dispose(kill: boolean): void
}
