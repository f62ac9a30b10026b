import { TroupeError } from '../errors.js'
import { ExchangeRegion } from './exchange-region.js'
import { Journal, type JournalExtract } from './journal.js'
import { planLayout, type Layout } from './layout.js'
import { Ledger, type Verdict } from './ledger.js'
import { assertSameModel, type ModelSpec } from './model-spec.js'
import { reduceOutputs } from './reduction.js'
import { ShardArea } from './shard-area.js'
import { ShardUpdate } from './shard-update.js'
import type { SlotEntry } from './slot-table.js'
import { STEP_PHASES, type PhaseTimes, type StepPhase } from './step-phase.js'

/** What a shard is, for as long as it lives. */
export interface ShardOptions {
  readonly shard: number
  readonly shards: number
  /** Workers of the job. */
  readonly ranks: number
  readonly generation: number
}

/** A step that this shard closed. */
export interface ClosedStep {
  readonly step: number
  /** Rows over all ranks. */
  readonly rows: number
  /** Global loss and metrics; on shard 0, else empty. */
  readonly outputs: Float32Array
}

/** What one look at the regions brought. */
export interface ShardScan {
  readonly closed: readonly ClosedStep[]
  /** Pushes that were not applied. */
  readonly refused: readonly RefusedPush[]
}

export interface RefusedPush {
  readonly rank: number
  readonly step: number
  readonly verdict: Exclude<Verdict, 'accept'>
  /** Of a duplicate that could be compared: whether it holds the bits of the push that was kept. */
  readonly sameBits?: boolean
}

interface Defined {
  readonly model: ModelSpec
  readonly layout: Layout
  readonly area: ShardArea
  readonly update: ShardUpdate
}

/** One rank, as a shard sees it. */
interface Rank {
  /** Of its worker's present incarnation; none until that has attached. */
  region: ExchangeRegion | undefined
  /** The step seen last in {@link region}. */
  seen: number
  /** The push that was accepted for the open step; its writer may be dead. */
  accepted: ExchangeRegion | undefined
  /** Its program has ended: no push follows. */
  finished: boolean
  /** Milliseconds spent by incarnations that are gone. */
  readonly spent: Record<StepPhase, number>
}

/**
 * A parameter server's part of the training, without its surroundings: takes pushes from the workers' regions,
 * closes a step when every rank has pushed it, and publishes the new version. Step t is computed on version t;
 * closing it makes version t + 1.
 *
 * The caller decides when to look ({@link scan}); looking too often does no harm.
 */
export class Shard {
  readonly options: ShardOptions
  readonly #ledger: Ledger
  readonly #ranks: readonly Rank[]
  readonly #journal = new Journal()
  #defined: Defined | undefined
  /** The open step, which is also the version it is computed on. */
  #step = 0

  constructor(options: ShardOptions) {
    this.options = options
    this.#ledger = new Ledger(options.generation, new Array<number>(options.ranks).fill(0))
    this.#ranks = Array.from({ length: options.ranks }, () => ({
      region: undefined,
      seen: -1,
      accepted: undefined,
      finished: false,
      spent: { data: 0, compute: 0, push: 0, barrier: 0, pull: 0 },
    }))
  }

  /** The open step: as many are closed. */
  get step(): number {
    return this.#step
  }

  get defined(): boolean {
    return this.#defined !== undefined
  }

  /** @throws ERR_INTERNAL before {@link define} */
  get area(): ShardArea {
    return this.#known().area
  }

  get layout(): Layout {
    return this.#known().layout
  }

  get model(): ModelSpec {
    return this.#known().model
  }

  /**
   * Fences a rank's earlier workers off and returns the step expected of this one: it was pushed by none before.
   *
   * @throws ERR_STALE_INCARNATION if a later one was enlisted
   */
  enlist(rank: number, incarnation: number): number {
    const next = this.#ledger.enlist(rank, incarnation)
    const entry = this.#ranks[rank]!
    entry.finished = false
    if (entry.region !== undefined && entry.region.incarnation !== incarnation) this.#detach(entry)
    return next
  }

  /**
   * Takes the model and the chief's initial values; the first call counts, later ones must agree with it.
   *
   * @param initial this shard's slices at the layout's positions
   * @throws ERR_RANKS_DIVERGED, ERR_LAYOUT
   */
  define(model: ModelSpec, initial: Float32Array): void {
    if (this.#defined !== undefined) {
      assertSameModel(this.#defined.model, model, 0)
      return
    }
    const { shard, shards, generation, ranks } = this.options
    const layout = planLayout(model.variables, shards)
    const elements = layout.shardElements[shard]!
    if (initial.length !== elements) {
      throw new TroupeError(
        'ERR_INTERNAL',
        `shard ${shard} got ${initial.length} initial values, not ${elements}`,
      )
    }
    const area = ShardArea.create({ generation, shard, elements, outputs: model.outputs.length })
    area.weights(0).set(initial)
    const update = new ShardUpdate(model, layout, area, ranks)
    this.#defined = { model, layout, area, update }
  }

  /**
   * Takes the region in which an enlisted worker will push.
   *
   * @throws ERR_RANKS_DIVERGED if its model is another, or the chief ended without one; ERR_STALE_GENERATION,
   * ERR_STALE_INCARNATION
   */
  attach(rank: number, model: ModelSpec, buffer: SharedArrayBuffer): ShardArea {
    if (this.#defined === undefined && this.finished(0)) {
      throw new TroupeError(
        'ERR_RANKS_DIVERGED',
        `rank ${rank} trains, but the program of rank 0 ended without`,
      )
    }
    const { model: known, area } = this.#known()
    assertSameModel(known, model, rank)
    const region = new ExchangeRegion(buffer)
    const { generation } = this.options
    if (region.generation !== generation) {
      throw new TroupeError(
        'ERR_STALE_GENERATION',
        `rank ${rank} attached with generation ${region.generation}, not ${generation}`,
      )
    }
    const enlisted = this.#ledger.incarnation(rank)
    if (region.rank !== rank || region.incarnation !== enlisted) {
      throw new TroupeError(
        'ERR_STALE_INCARNATION',
        `rank ${rank} attached with incarnation ${region.incarnation}; ${enlisted} is enlisted`,
      )
    }
    const entry = this.#ranks[rank]!
    entry.region = region
    entry.seen = -1
    return area
  }

  /** The rank's program has ended and makes no more steps. An earlier incarnation's word does not count. */
  finish(rank: number, incarnation: number): void {
    if (incarnation === this.#ledger.incarnation(rank)) this.#ranks[rank]!.finished = true
  }

  finished(rank: number): boolean {
    return this.#ranks[rank]!.finished
  }

  /**
   * Takes what was pushed since the last look and closes what can be closed.
   *
   * @throws ERR_RANKS_DIVERGED when the open step can never be closed
   */
  scan(): ShardScan {
    const closed: ClosedStep[] = []
    const refused: RefusedPush[] = []
    if (this.#defined === undefined) return { closed, refused }
    do this.#take(refused)
    while (this.#close(closed))
    return { closed, refused }
  }

  /** What user code saw in the first `steps` steps, as far as they are closed; shard 0 keeps it. */
  journal(steps: number): JournalExtract {
    return this.#journal.extract(Math.min(steps, this.#journal.steps))
  }

  /** A copy of this shard's slices in the newest version. */
  weights(): Float32Array {
    return this.area.weights(this.#step).slice()
  }

  /** The optimizers' state; read it between two scans. */
  slots(): IterableIterator<SlotEntry> {
    return this.#known().update.slots()
  }

  /** Where each rank's time went, over all its incarnations. */
  phases(): PhaseTimes[] {
    return this.#ranks.map(({ region, spent }) =>
      region === undefined ? { ...spent } : add(spent, region.phases()),
    )
  }

  /** Ends every wait for a version of this shard: there will be no more. */
  retire(): void {
    this.#defined?.area.retire()
  }

  #take(refused: RefusedPush[]): void {
    const { shard, generation } = this.options
    for (const [rank, entry] of this.#ranks.entries()) {
      const { region } = entry
      if (region === undefined) continue
      const step = region.committed(shard)
      if (step <= entry.seen) continue
      entry.seen = step
      // Nobody computes a step whose version is not there yet.
      const verdict =
        step > this.#step
          ? 'future'
          : this.#ledger.judge({ generation, incarnation: region.incarnation, rank, step })
      if (verdict === 'accept') entry.accepted = region
      else if (verdict === 'duplicate' && entry.accepted !== undefined && step === this.#step) {
        refused.push({ rank, step, verdict, sameBits: this.#samePush(entry.accepted, region) })
      } else refused.push({ rank, step, verdict })
    }
  }

  #close(closed: ClosedStep[]): boolean {
    const pushes: ExchangeRegion[] = []
    for (const { accepted } of this.#ranks) if (accepted !== undefined) pushes.push(accepted)
    if (pushes.length < this.#ranks.length) {
      if (pushes.length > 0) this.#checkNobodyFinished()
      return false
    }
    const { area, model, update } = this.#known()
    const { shard } = this.options
    const records = pushes.map(push => push.record())
    const optimizer = records[0]!.optimizer
    for (const [rank, record] of records.entries()) {
      if (record.optimizer === optimizer) continue
      const named = (index: number): string => model.optimizers[index]?.spec.id ?? `number ${index}`
      throw new TroupeError(
        'ERR_RANKS_DIVERGED',
        `in step ${this.#step} rank ${rank} used optimizer ${named(record.optimizer)}, rank 0 ${named(optimizer)}`,
      )
    }
    const rows = records.map(record => record.rows)
    update.apply(
      this.#step,
      optimizer,
      pushes.map(push => push.values(shard)),
      rows,
    )
    const total = rows.reduce((sum, count) => sum + count, 0)
    const outputs = area.outputs(this.#step + 1)
    if (shard === 0) {
      reduceOutputs(
        outputs,
        pushes.map(push => push.outputs),
        rows,
      )
      this.#journal.append({ outputs, rows: total })
    }
    closed.push({
      step: this.#step,
      rows: total,
      outputs: shard === 0 ? outputs.slice() : new Float32Array(0),
    })
    for (const entry of this.#ranks) entry.accepted = undefined
    this.#step += 1
    area.publish(this.#step, total)
    return true
  }

  /** Some ranks have made the open step: who ended without it would be waited for in vain. */
  #checkNobodyFinished(): void {
    const ended = this.#ranks.findIndex(({ accepted, finished }) => finished && accepted === undefined)
    if (ended === -1) return
    const goesOn = this.#ranks.findIndex(({ accepted }) => accepted !== undefined)
    throw new TroupeError(
      'ERR_RANKS_DIVERGED',
      `the program of rank ${ended} ended after ${this.#step} steps, but rank ${goesOn} made step ${this.#step + 1}`,
    )
  }

  #samePush(kept: ExchangeRegion, repeated: ExchangeRegion): boolean {
    const { shard } = this.options
    const [a, b] = [kept.record(), repeated.record()]
    return (
      a.rows === b.rows &&
      a.optimizer === b.optimizer &&
      (a.rows === 0 ||
        (sameBits(kept.values(shard), repeated.values(shard)) && sameBits(kept.outputs, repeated.outputs)))
    )
  }

  #detach(entry: Rank): void {
    if (entry.region === undefined) return
    Object.assign(entry.spent, add(entry.spent, entry.region.phases()))
    entry.region = undefined
    entry.seen = -1
  }

  #known(): Defined {
    if (this.#defined !== undefined) return this.#defined
    throw new TroupeError('ERR_INTERNAL', `shard ${this.options.shard} has no model yet`)
  }
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (values: Float32Array): Buffer =>
    Buffer.from(values.buffer, values.byteOffset, values.byteLength)
  return bytes(a).equals(bytes(b))
}

function add(a: PhaseTimes, b: PhaseTimes): Record<StepPhase, number> {
  const sum = { ...a }
  for (const phase of STEP_PHASES) sum[phase] += b[phase]
  return sum
}
