import type { NormSums } from './norm-exchange.js'
import type { RefusedPush } from './push-desk.js'
import type { ClosedStep } from './shard-core.js'
import type { SnapshotTensor } from './snapshot.js'
import type { TrainingState } from './training-state.js'

/** What a worker is told when it enlists. */
export interface Enlisted {
  /** The step that this shard expects of its rank next. */
  readonly next: number
  /** Parts of the model that the shard has: for those it needs no initial values. */
  readonly parts: number
}

/** What one look at the regions brought. */
export interface ShardScan {
  readonly closed: readonly ClosedStep[]
  /** Pushes that were not applied. */
  readonly refused: readonly RefusedPush[]
  /** For every other shard. */
  readonly norms: readonly NormSums[]
  readonly cuts: readonly ShardCut[]
  /** Versions that were due to be cut while both snapshots were in use. */
  readonly skipped: readonly number[]
}

/** A shard's part of a cut: plain data. */
export interface ShardCut {
  readonly generation: number
  readonly version: number
  readonly shard: number
  readonly shards: number
  /** Weights and slots, in shared memory that stays as it is until `Shard.releaseCut`. */
  readonly tensors: readonly SnapshotTensor[]
  /** What belongs to the cut beside; from shard 0 alone. */
  readonly state: TrainingState | null
  /** In the modes beside exact mode: the marker for which workers have stopped; else 0. */
  readonly marker: number
}
