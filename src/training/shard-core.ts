import type { Bells } from './bell.js'
import { CutPlan } from './cut-plan.js'
import type { NormSums } from './norm-exchange.js'
import { NormExchange } from './norm-exchange.js'
import { Journal } from './journal.js'
import { Ledger } from './ledger.js'
import { PushDesk } from './push-desk.js'
import { ShardArea } from './shard-area.js'
import { ShardModel } from './shard-model.js'
import { ShardRecord, type Repeated } from './shard-record.js'
import { ShardUpdate } from './shard-update.js'
import { SnapshotReader, type SnapshotTensor } from './snapshot.js'
import type { TrainingState } from './training-state.js'

/** What a shard is, for as long as it lives. */
export interface ShardOptions {
  readonly shard: number
  readonly shards: number
  /** Workers of the job. */
  readonly ranks: number
  /** In the beginning; a rollback gives it another. */
  readonly generation: number
  /**
   * How many steps a rank may be ahead of the slowest one that is alive: 0 is exact mode, where all make each step
   * together; Infinity does not bound it.
   *
   * @default 0
   */
  readonly staleness?: number
  /** Versions that are multiples of this are cut. @default 0: only version 0, and when a cut is asked for */
  readonly cutEverySteps?: number
  /** Steps whose entries the journal keeps. @default 1,000,000 */
  readonly journalMaxSteps?: number
  /** How workers and shards wake each other. @default atomicBells */
  readonly bells?: Bells
}

/** A step that is in a new version. */
export interface ClosedStep {
  /** Of all ranks together in exact mode, else of one rank. */
  readonly step: number
  /** Whose step it is; null: of all. */
  readonly rank: number | null
  /** Number of the part of the model that it trained. */
  readonly part: number
  readonly rows: number
  /** Loss and metrics that user code sees; on shard 0, else empty. */
  readonly outputs: Float32Array
  /** Of a step that was made before a rollback, as far as shard 0 knows: whether user code sees the same now. */
  readonly repeated?: Repeated
}

/** Everything of a shard that belongs to one generation of the job. */
export class ShardCore {
  readonly options: ShardOptions
  readonly generation: number
  readonly area: ShardArea
  readonly model: ShardModel
  readonly update: ShardUpdate
  readonly ledger: Ledger
  readonly desk: PushDesk
  readonly norms: NormExchange
  readonly cuts: CutPlan
  readonly record: ShardRecord
  /** The newest version; in exact mode also the step that is open. */
  version: number

  // what a look brought, until it is fetched
  closed: ClosedStep[] = []
  outgoing: NormSums[] = []

  private constructor(options: ShardOptions, generation: number, state: TrainingState | undefined) {
    const { shard, shards, ranks, cutEverySteps = 0, journalMaxSteps, bells } = options
    this.options = options
    this.generation = generation
    this.version = state?.version ?? 0
    this.area = ShardArea.create({ generation, shard, ranks }, bells)
    this.model = new ShardModel(shard, shards)
    this.update = new ShardUpdate(this.model, state?.iterations)
    this.ledger = new Ledger(generation, state?.next ?? new Array<number>(ranks).fill(0))
    this.desk = new PushDesk({ shard, ledger: this.ledger, model: this.model })
    this.norms = new NormExchange(shards, generation)
    this.cuts = new CutPlan(cutEverySteps)
    const images = shard === 0 ? state?.journals : undefined
    const journals =
      images?.map(image => Journal.from(image, journalMaxSteps)) ??
      Array.from({ length: this.loose ? ranks : 1 }, () => new Journal(journalMaxSteps))
    this.record = new ShardRecord(journals, state?.onces)
  }

  /** Of a job that begins. */
  static fresh(options: ShardOptions): ShardCore {
    return new ShardCore(options, options.generation, undefined)
  }

  /** As it was at a cut. */
  static restored(
    options: ShardOptions,
    generation: number,
    state: TrainingState,
    pieces: readonly SnapshotTensor[],
  ): ShardCore {
    const core = new ShardCore(options, generation, state)
    core.model.restore(state.parts, new SnapshotReader(pieces), state.version)
    for (const [rank, next] of state.next.entries()) core.area.setApplied(rank, next)
    core.area.publish(state.version)
    return core
  }

  /** Whether ranks make their steps each for itself. */
  get loose(): boolean {
    return (this.options.staleness ?? 0) > 0
  }

  /** What belongs to a cut of the newest version beside its tensors. */
  state(): TrainingState {
    return {
      version: this.version,
      ranks: this.options.ranks,
      staleness: this.options.staleness ?? 0,
      parts: this.model.shares.map(({ part }) => part.spec),
      iterations: this.update.iterations,
      next: Array.from({ length: this.options.ranks }, (_, rank) => this.area.applied(rank)),
      journals: this.record.images(),
      onces: this.record.onces(),
    }
  }
}
