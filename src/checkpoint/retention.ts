import { byNewest, type CheckpointEntry } from './checkpoint-entry.js'

/** @default of `keepLast` */
export const DEFAULT_KEEP_LAST = 3

/** Which checkpoints stay. */
export interface RetentionPolicy {
  /** This many of the newest; at least 1. @default 3 */
  readonly keepLast?: number
  /** Beside them the first in each run of this many steps, for ever. @default none */
  readonly keepEverySteps?: number
}

/**
 * The checkpoints that may go, oldest first: those that are neither among the last ones nor the first of their run of
 * steps. Pure; whether what stays can be used is for the caller to see.
 */
export function outdated(entries: readonly CheckpointEntry[], policy: RetentionPolicy): CheckpointEntry[] {
  const { keepLast = DEFAULT_KEEP_LAST, keepEverySteps } = policy
  const newest = entries.toSorted(byNewest)
  const oldest = newest.slice(Math.max(1, keepLast)).reverse()
  if (keepEverySteps === undefined) return oldest
  // Not `step % n === 0`: cuts by time lie at any step.
  const runs = new Set<number>()
  return oldest.filter(({ step }) => {
    const run = Math.floor(step / keepEverySteps)
    if (runs.has(run)) return true
    runs.add(run)
    return false
  })
}
