import type { ProgramNotice } from 'troupe'

type Ready = Extract<ProgramNotice, { tell: 'ready' }>

/** An actor that is down. */
export interface Down {
  readonly atMs: number
  readonly reason: string
  /** Steps that every server had closed. */
  readonly steps: number
  /** When the successor's program had TensorFlow at hand. */
  respawnedAtMs?: number
}

/** What the actors said and nobody can be asked for again: plain data, for the successor of who keeps it. */
export interface ProgressState {
  startedAtMs: number
  firstStepAtMs: number | null
  ready: Ready | null
  announced: boolean
  /** Of each training call of the chief's present incarnation. */
  extents: { readonly epochs: number; readonly stepsPerEpoch: number }[]
  rowsPerEpoch: number | null
  /** By part of the model: names of what a step returns. */
  outputs: (readonly string[])[]
  /** Steps of the chief when the last epoch ended that was told of. */
  epochsAt: number
  restarts: number
  down: Record<string, Down>
  /** By actor: kills that were told of and whose restart was not. */
  expected: Record<string, number>
  exactNote: string | null
  /** Steps that were told of: of each worker, or in exact mode one number for all. */
  told: number[]
  /** Rows of those that were made in this run. */
  rows: number
}

/**
 * @param steps made before, in the same lines as {@link ProgressState.told}
 * @param inexact why it is not exact from the outset
 */
export function beginning(steps: readonly number[], now: number, inexact: string | null): ProgressState {
  return {
    startedAtMs: now,
    firstStepAtMs: null,
    ready: null,
    announced: false,
    extents: [],
    rowsPerEpoch: null,
    outputs: [],
    epochsAt: steps[0]!,
    restarts: 0,
    down: {},
    expected: {},
    exactNote: inexact,
    told: [...steps],
    rows: 0,
  }
}
