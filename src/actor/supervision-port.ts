import type { Cell } from './cell.js'
import type { DeathReason } from './death.js'

/** Decides what becomes of the children of one incarnation of an actor. Implemented by the supervision layer. */
export interface ChildSupervisor {
  /** A child's incarnation ended by itself: failed, killed, or stopped by its own wish. Acts on the child. */
  childEnded(child: Cell, reason: DeathReason): void
  /** The incarnation it belongs to is over: it must act no more. */
  close(): void
}
