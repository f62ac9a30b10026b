import { TroupeError } from '../errors.js'
import { AttachedWorker, type Attachment } from './attached-worker.js'
import { ExchangeRegion, type PushRecord } from './exchange-region.js'
import type { Ledger, Verdict, WorkerId } from './ledger.js'
import { sameBits } from './same-bits.js'
import type { PartShare, ShardModel } from './shard-model.js'
import { STEP_PHASES, type PhaseTimes, type StepPhase } from './step-phase.js'

/** A push that was accepted and is not in any version yet; its writer may be dead. */
export interface AcceptedPush {
  readonly rank: number
  readonly worker: AttachedWorker
  readonly record: PushRecord
  /** Byte offset of its values. */
  readonly block: number
}

/** A push that was not applied. */
export interface RefusedPush {
  readonly rank: number
  readonly step: number
  readonly verdict: Exclude<Verdict, 'accept'>
  /** Of a duplicate that could be compared: whether it holds the bits of the push that was kept. */
  readonly sameBits?: boolean
}

/** One rank, as a shard sees it. */
interface Rank {
  /** Its present incarnation; none until that has attached. */
  worker: AttachedWorker | undefined
  accepted: AcceptedPush | undefined
  /** Its program has ended: no push follows. */
  finished: boolean
  /** Milliseconds spent by incarnations that are gone. */
  readonly spent: Record<StepPhase, number>
}

export interface PushDeskParts {
  readonly shard: number
  readonly ledger: Ledger
  readonly model: ShardModel
}

/** Where a shard takes in pushes: knows the workers' regions, and lets each step of a rank pass once. */
export class PushDesk {
  readonly #shard: number
  readonly #ledger: Ledger
  readonly #model: ShardModel
  readonly #ranks: readonly Rank[]
  /** Workers that are no more, whose blocks cannot be given back yet. */
  #parting: AttachedWorker[] = []

  constructor({ shard, ledger, model }: PushDeskParts) {
    this.#shard = shard
    this.#ledger = ledger
    this.#model = model
    this.#ranks = Array.from({ length: ledger.ranks }, () => ({
      worker: undefined,
      accepted: undefined,
      finished: false,
      spent: { data: 0, compute: 0, push: 0, barrier: 0, pull: 0 },
    }))
  }

  /** Pushes that wait to be applied, by rank. */
  get accepted(): readonly (AcceptedPush | undefined)[] {
    return this.#ranks.map(({ accepted }) => accepted)
  }

  /**
   * Fences a rank's earlier workers off.
   *
   * @returns the step expected of this one
   */
  enlist(id: WorkerId): number {
    const next = this.#ledger.enlist(id)
    const rank = this.#ranks[id.rank]!
    rank.finished = false
    if (rank.worker !== undefined && rank.worker.region.incarnation !== id.incarnation) {
      Object.assign(rank.spent, add(rank.spent, rank.worker.region.phases()))
      this.#parting.push(rank.worker)
      rank.worker = undefined
    }
    return next
  }

  /** Forgets a rank's push that is not in any version yet: it is expected again. */
  retract(rank: number): void {
    if (this.#ranks[rank]!.accepted === undefined) return
    this.#ranks[rank]!.accepted = undefined
    this.#ledger.retract(rank)
  }

  /**
   * Lets an enlisted worker push a part.
   *
   * @param region the same for all parts
   */
  attach(id: WorkerId, share: PartShare, region: SharedArrayBuffer, area: SharedArrayBuffer): Attachment {
    this.#ledger.assertCurrent(id)
    this.freeParted()
    const rank = this.#ranks[id.rank]!
    if (rank.worker === undefined) {
      const opened = new ExchangeRegion(region)
      this.#ledger.assertCurrent(opened)
      if (opened.rank !== id.rank) {
        throw new TroupeError('ERR_INTERNAL', `rank ${id.rank} came with the region of rank ${opened.rank}`)
      }
      rank.worker = new AttachedWorker(opened)
    }
    return rank.worker.attach(share, this.#model, area)
  }

  /** The rank's program has ended and makes no more steps. */
  finish(id: WorkerId): void {
    this.#ledger.assertCurrent(id)
    this.#ranks[id.rank]!.finished = true
  }

  finished(rank: number): boolean {
    return this.#ranks[rank]!.finished
  }

  /** Whether steps of a rank may still come without a new incarnation. */
  isLive(rank: number): boolean {
    const { finished, worker } = this.#ranks[rank]!
    return !finished && worker?.region.exited !== true
  }

  /** See {@link ExchangeRegion.halted}; 0 for a rank that has not attached. */
  halted(rank: number): number {
    return this.#ranks[rank]!.worker?.region.halted ?? 0
  }

  /**
   * Takes what was pushed since the last look.
   *
   * @param newest no step beyond this one can be; nobody computes a step whose version is not there yet
   */
  take(newest: number): RefusedPush[] {
    const refused: RefusedPush[] = []
    for (const [index, rank] of this.#ranks.entries()) {
      const { worker } = rank
      if (worker === undefined) continue
      const { region } = worker
      const step = region.committed(this.#shard)
      if (step <= worker.seen) continue
      worker.seen = step
      const { generation, incarnation } = region
      const verdict =
        step > newest ? 'future' : this.#ledger.judge({ generation, incarnation, rank: index, step })
      if (verdict === 'accept') {
        const record = region.record()
        rank.accepted = { rank: index, worker, record, block: worker.block(record.part) }
      } else if (verdict === 'duplicate' && rank.accepted?.record.step === step) {
        refused.push({ rank: index, step, verdict, sameBits: this.#samePush(rank.accepted, worker) })
      } else refused.push({ rank: index, step, verdict })
    }
    return refused
  }

  /** The push is in a version now. */
  applied(rank: number): void {
    this.#ranks[rank]!.accepted = undefined
  }

  /** Gives back what belongs to threads that are gone, unless an open step refers to it. */
  freeParted(): void {
    if (this.#parting.length === 0) return
    this.#parting = this.#parting.filter(worker => {
      const inUse = this.#ranks.some(({ accepted }) => accepted?.worker === worker)
      if (inUse || !worker.region.exited) return true
      worker.release(this.#model)
      return false
    })
  }

  /** Where each rank's time went, over all its incarnations. */
  phases(): PhaseTimes[] {
    return this.#ranks.map(({ worker, spent }) =>
      worker === undefined ? { ...spent } : add(spent, worker.region.phases()),
    )
  }

  #samePush(kept: AcceptedPush, repeated: AttachedWorker): boolean {
    const [a, b] = [kept.record, repeated.region.record()]
    if (a.rows !== b.rows || a.part !== b.part) return false
    if (a.rows === 0) return true
    const { blockBytes } = this.#model.shares[a.part]!
    const values = (block: number): Float32Array => this.#model.memory.float32(block, blockBytes / 4)
    return (
      sameBits(values(kept.block), values(repeated.block(b.part))) &&
      sameBits(kept.worker.region.outputs(), repeated.region.outputs())
    )
  }
}

function add(a: PhaseTimes, b: PhaseTimes): Record<StepPhase, number> {
  const sum = { ...a }
  for (const phase of STEP_PHASES) sum[phase] += b[phase]
  return sum
}
