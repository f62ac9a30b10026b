import type { SnapshotTensor, VariableSpec } from 'troupe/training'

/** Where a server stands. */
export interface ServerState {
  readonly incarnation: number
  /** 0: it holds nothing yet, or nothing any more. */
  readonly generation: number
  /** Steps closed: of each worker, or in exact mode one number for all. */
  readonly steps: readonly number[]
}

/** A server's part of the model in its newest version. */
export interface ServerWeights {
  /** Of the whole job, in its order. */
  readonly variables: readonly VariableSpec[]
  readonly version: number
  readonly tensors: readonly SnapshotTensor[]
}
