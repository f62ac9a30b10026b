import type { JournalImage } from './journal.js'
import type { ModelPart } from './model-spec.js'

/** How far ranks may be apart: 0 is exact mode, n lets a rank run n steps ahead, Infinity does not bound it. */
export type Staleness = number

/** What belongs to a cut beside its tensors: plain data, kept by shard 0, equal for any number of shards. */
export interface TrainingState {
  /** The version that was cut: as many updates went into it. */
  readonly version: number
  readonly ranks: number
  /** 0, a whole number, or Infinity. */
  readonly staleness: Staleness
  /** In program order. */
  readonly parts: readonly ModelPart[]
  /** Updates made by each optimizer. */
  readonly iterations: Readonly<Record<string, number>>
  /** For each rank the step expected of it next. */
  readonly next: readonly number[]
  /** One for all ranks in exact mode, else one for each rank. */
  readonly journals: readonly JournalImage[]
  /** Results of `ctx.once` by key, in the order in which they were kept. */
  readonly onces: readonly (readonly [key: string, value: unknown])[]
}
