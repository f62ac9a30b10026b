import { TroupeError } from '../errors.js'
import type { Attachment } from './attached-worker.js'
import { BarrierCloser } from './barrier-closer.js'
import type { BellListener } from './bell.js'
import { CutMarker } from './cut-marker.js'
import { JobModel } from './job-model.js'
import type { EpochLog, JournalImage } from './journal.js'
import type { WorkerId } from './ledger.js'
import { LooseCloser } from './loose-closer.js'
import type { ModelPart } from './model-spec.js'
import type { NormSums } from './norm-exchange.js'
import type { RefusedPush } from './push-desk.js'
import { ShardCore, type ShardOptions } from './shard-core.js'
import type { Enlisted, ShardCut, ShardScan } from './shard-scan.js'
import { shardTensors } from './shard-tensors.js'
import { SnapshotBuffers } from './snapshot-buffers.js'
import type { SnapshotTensor, TensorInterval } from './snapshot.js'
import type { PhaseTimes } from './step-phase.js'
import type { StepCloser } from './step-closer.js'
import type { TrainingState } from './training-state.js'

/**
 * A parameter server's part of the training, without its surroundings: takes pushes from the workers' regions,
 * makes new versions of its slices of the model, and publishes them.
 *
 * Its surroundings decide when to look ({@link scan}): after a ring of the bell, after norms of another shard, and
 * whenever they like. They carry {@link NormSums} between shards, and take the cuts away.
 */
export class Shard {
  readonly options: ShardOptions
  #snapshots = new SnapshotBuffers()
  #core: ShardCore
  #closer: StepCloser
  #retired = false
  #cuts: ShardCut[] = []
  #skipped: number[] = []
  #marker: CutMarker
  #cutVersion = 0
  readonly #listeners = new Set<{ readonly onRing: () => void; listener: BellListener }>()

  constructor(options: ShardOptions) {
    this.options = options
    this.#core = ShardCore.fresh(options)
    this.#closer = closerOf(this.#core)
    this.#marker = new CutMarker(this.#core)
  }

  get generation(): number {
    return this.#core.generation
  }

  /** The newest version: as many updates are in it. In exact mode also the step that is open. */
  get version(): number {
    return this.#core.version
  }

  /** Whether ranks make their steps each for itself: every mode but exact mode. */
  get loose(): boolean {
    return this.#core.loose
  }

  /** Steps that are in the newest version: of each rank, or in exact mode one number for all. */
  get closedSteps(): number[] {
    const { area, loose, version } = this.#core
    return loose ? Array.from({ length: this.options.ranks }, (_, rank) => area.applied(rank)) : [version]
  }

  /** Whether it has a model. */
  get defined(): boolean {
    return this.parts > 0
  }

  /** How many parts of the model it has. */
  get parts(): number {
    return this.#core.model.shares.length
  }

  get model(): JobModel {
    return this.#core.model.job
  }

  /** Bytes of memory in use. */
  get usedBytes(): number {
    return this.#core.model.memory.usedBytes
  }

  /**
   * Fences a rank's earlier workers off.
   *
   * @throws ERR_STALE_GENERATION; ERR_STALE_INCARNATION if a later one was enlisted
   */
  enlist(worker: WorkerId): Enlisted {
    const { desk, ledger, loose, norms, outgoing } = this.#core
    const { rank, incarnation } = worker
    desk.enlist(worker)
    if (loose) {
      // Where a rank is answered by itself, an unanswered step is made again: nobody else knows its loss.
      desk.retract(rank)
      const again = norms.succeed(rank, incarnation, ledger.next(rank))
      if (again !== undefined) outgoing.push(again)
    }
    return { next: ledger.next(worker.rank), parts: this.parts }
  }

  /**
   * Takes a part of the model, with the chief's initial values of the variables that are new in it. A part that is
   * there already must be the same, and keeps its values.
   *
   * @param initial this shard's slices of them, as `introducedValues` has them
   * @throws ERR_RANKS_DIVERGED, ERR_LAYOUT, ERR_STALE_GENERATION, ERR_STALE_INCARNATION
   */
  define(worker: WorkerId, part: number, spec: ModelPart, initial: readonly Float32Array[]): void {
    const { ledger, model, version } = this.#core
    ledger.assertCurrent(worker)
    const first = !this.defined
    if (model.define(part, spec, worker.rank, initial, version) && first) this.#cut(0)
  }

  /**
   * Lets an enlisted worker push a part.
   *
   * @param region the one of its incarnation, for all parts
   * @throws ERR_RANKS_DIVERGED if its part is another, or the chief ended without it; ERR_STALE_GENERATION,
   * ERR_STALE_INCARNATION
   */
  attach(worker: WorkerId, part: number, spec: ModelPart, region: SharedArrayBuffer): Attachment {
    const { area, desk, ledger, model } = this.#core
    ledger.assertCurrent(worker)
    if (part >= this.parts) {
      throw this.finished(0)
        ? new TroupeError(
            'ERR_RANKS_DIVERGED',
            `rank ${worker.rank} trains, but the program of rank 0 ended without`,
          )
        : new TroupeError('ERR_INTERNAL', `shard ${area.shard} has no part ${part} of the model yet`)
    }
    model.job.agree(part, spec, worker.rank)
    return desk.attach(worker, model.shares[part]!, region, area.buffer)
  }

  /**
   * The worker's program has ended and makes no more steps.
   *
   * @throws ERR_STALE_GENERATION, ERR_STALE_INCARNATION
   */
  finish(worker: WorkerId): void {
    this.#core.desk.finish(worker)
  }

  /** Steps that a rank has pushed. */
  pushed(rank: number): number {
    return this.#core.ledger.next(rank)
  }

  finished(rank: number): boolean {
    return this.#core.desk.finished(rank)
  }

  /**
   * Takes what was pushed since the last look and makes what versions can be made.
   *
   * @throws ERR_RANKS_DIVERGED when the open step can never be closed
   */
  scan(): ShardScan {
    const core = this.#core
    core.desk.freeParted()
    const refused: RefusedPush[] = []
    if (this.defined) {
      for (let advanced = true; advanced;) {
        refused.push(...core.desk.take(core.loose ? Infinity : core.version))
        advanced = this.#closer.advance()
        if (advanced && !core.loose && core.cuts.isDue(core.version)) this.#cut(0)
      }
      if (core.loose) this.#heedMarker()
    }
    const { closed, outgoing: norms } = core
    const [cuts, skipped] = [this.#cuts, this.#skipped]
    core.closed = []
    core.outgoing = []
    this.#cuts = []
    this.#skipped = []
    return { closed, refused, norms, cuts, skipped }
  }

  /**
   * Hears what another shard knows of a step's norms; {@link scan} goes on with it. What is late is passed over.
   *
   * @throws ERR_STALE_GENERATION
   */
  takeNorms(norms: NormSums): void {
    const { area, norms: exchange, version } = this.#core
    const done = norms.rank === null ? version : area.applied(norms.rank)
    if (norms.step >= done || norms.generation !== this.generation) exchange.hear(norms)
  }

  /** What this shard told the others last: to be told again if it may have been lost. */
  get openNorms(): NormSums[] {
    return this.#core.norms.said
  }

  /** Calls `onRing` when there may be something to {@link scan}, over rollbacks too. */
  listen(onRing: () => void): BellListener {
    const entry = { onRing, listener: this.#core.area.bell.listen(onRing) }
    this.#listeners.add(entry)
    return {
      stop: () => {
        this.#listeners.delete(entry)
        entry.listener.stop()
      },
    }
  }

  /** Shard 0: asks for a cut as soon as all shards can know of it. */
  requestCut(): void {
    if (!this.#core.loose) this.#core.cuts.choose(this.version)
    else this.#marker.raise()
  }

  /**
   * Cuts this version at once, if it is still the newest: in exact mode a rank that waits holds all shards there. In the
   * other modes the next version that ranks can agree on, which is this one when all have finished.
   */
  cutNow(version: number): void {
    if (!this.#core.loose || this.#allFinished) {
      if (this.defined && version === this.version) this.#cut(0)
    } else if (this.options.shard === 0) this.requestCut()
  }

  /** In the modes beside exact mode: what shards tell each other of, so that workers stop for a cut and go on. */
  get marker(): Pick<CutMarker, 'raised' | 'heeded' | 'hear' | 'lower'> {
    return this.#marker
  }

  /** The tensors of this cut are needed no more. */
  releaseCut({ generation, version }: Pick<ShardCut, 'generation' | 'version'>): void {
    // Of another generation there are none: its cuts were dropped with it, and their memory is not used again.
    if (generation === this.generation) this.#snapshots.release(version)
  }

  /** What {@link restore} needs of a snapshot. */
  restoreNeeds(state: TrainingState): TensorInterval[] {
    const { shard, shards } = this.options
    return shardTensors(new JobModel(shards, state.parts), shard).map(({ interval }) => interval)
  }

  /**
   * Puts a new shard, or one that is at work, to where the job stood at a cut, in a new generation. Every wait for a
   * version of the old one ends; everything that belongs to it is refused from now on.
   *
   * @param pieces of any number of shards; they must hold all of {@link restoreNeeds}
   * @throws ERR_STALE_GENERATION if the generation is not newer, unless nothing happened in this one; ERR_RESUME when the
   * snapshot is of other ranks; ERR_STATE_LOST when it lacks something
   */
  restore(generation: number, state: TrainingState, pieces: readonly SnapshotTensor[]): void {
    const old = this.#core
    if (generation < old.generation || (generation === old.generation && this.defined)) {
      throw new TroupeError(
        'ERR_STALE_GENERATION',
        `generation ${generation} would be restored over generation ${old.generation}`,
        { data: { generation, current: old.generation } },
      )
    }
    this.#assertFits(state)
    const core = ShardCore.restored(this.options, generation, state, pieces)
    if (!core.loose) core.record.expect(old.record)
    old.area.retire()
    this.#core = core
    this.#closer = closerOf(core)
    this.#snapshots = new SnapshotBuffers()
    this.#marker = new CutMarker(core)
    this.#cutVersion = state.version
    for (const entry of this.#listeners) {
      entry.listener.stop()
      entry.listener = core.area.bell.listen(entry.onRing)
    }
    if (this.#retired) core.area.retire()
  }

  // on shard 0: what user code saw

  /** The first `steps` steps of a rank, as far as they are in a version. */
  journal(rank: number, steps: number): JournalImage {
    return this.#core.record.journal(rank).image(steps)
  }

  /** @throws ERR_STALE_GENERATION, ERR_STALE_INCARNATION */
  keepEpoch(worker: WorkerId, log: EpochLog): void {
    this.#core.ledger.assertCurrent(worker)
    this.#core.record.endEpoch(worker.rank, log)
  }

  onceFind(key: string): { readonly value: unknown } | undefined {
    return this.#core.record.once(key)
  }

  /**
   * The first result of a key counts; it is returned.
   *
   * @throws ERR_STALE_GENERATION, ERR_STALE_INCARNATION
   */
  onceKeep(worker: WorkerId, key: string, value: unknown): unknown {
    this.#core.ledger.assertCurrent(worker)
    return this.#core.record.keepOnce(key, value)
  }

  // for reports

  /** A copy of the newest version: weights and slots. */
  tensors(): SnapshotTensor[] {
    return this.#core.model.tensors(this.version).map(({ variable, kind, shape, offset, values }) => ({
      variable,
      kind,
      shape,
      offset,
      values: Float32Array.from(values),
    }))
  }

  /** Where each rank's time went, over all its incarnations of this generation. */
  phases(): PhaseTimes[] {
    return this.#core.desk.phases()
  }

  /** Ends every wait for a version of this shard: there will be no more. */
  retire(): void {
    this.#retired = true
    this.#core.area.retire()
  }

  /** Rows, randomness and journals belong to ranks: those of another number of them are another job's. */
  #assertFits({ ranks, staleness }: TrainingState): void {
    const wanted = this.options
    if (ranks === wanted.ranks && staleness > 0 === this.#core.loose) return
    throw new TroupeError(
      'ERR_RESUME',
      `the snapshot is of ${ranks} workers with staleness ${staleness}; ` +
        `the job has ${wanted.ranks} with staleness ${wanted.staleness ?? 0}`,
      { data: { ranks, staleness } },
    )
  }

  #cut(marker: number): void {
    const { generation, model, version } = this.#core
    // It is on its way already.
    if (this.#snapshots.holds(version)) return
    const tensors = this.#snapshots.take(version, model.tensors(version))
    this.#cutVersion = version
    if (tensors === undefined) {
      this.#skipped.push(version)
      return
    }
    const { shard, shards } = this.options
    const state = shard === 0 ? this.#core.state() : null
    this.#cuts.push({ generation, version, shard, shards, tensors, state, marker })
  }

  /** Cuts once every rank has stopped for a marker, or does nothing that could change a version. */
  #heedMarker(): void {
    const { shard, cutEverySteps = 0 } = this.options
    const due = cutEverySteps > 0 && this.version - this.#cutVersion >= cutEverySteps
    if (shard === 0 && due) this.requestCut()
    const marker = this.#marker.heed()
    if (marker > 0) this.#cut(marker)
  }

  get #allFinished(): boolean {
    const { desk } = this.#core
    return Array.from({ length: this.options.ranks }, (_, rank) => rank).every(rank => desk.finished(rank))
  }
}

function closerOf(core: ShardCore): StepCloser {
  return core.loose ? new LooseCloser(core) : new BarrierCloser(core)
}
