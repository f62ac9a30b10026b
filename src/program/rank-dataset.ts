import type * as Tfjs from '@tensorflow/tfjs'
import type { DatasetDescriptor } from '../data/index.js'
import { TroupeError } from '../errors.js'
import { BatchRing, elementCount, SamplePlan, type BatchAddress, type RingBatch } from '../training/index.js'
import { DrawCount } from './draw-count.js'
import type { HostLink } from './host-link.js'
import type { Batch, DatasetOptions } from './job-context.js'
import type { DatasetReply } from './protocol.js'
import type { TrainingSession } from './training-session.js'

/**
 * One rank's batches of a dataset, by its sample plan. Each iteration that is begun draws the next epoch.
 *
 * While the program replays, batches are zeros of the right shape; nothing is asked of the feeder. The first batch
 * of a computed step is where the feeder begins.
 */
export class RankDataset {
  readonly #tf: typeof Tfjs
  readonly #session: TrainingSession
  readonly #plan: SamplePlan
  readonly #rank: number
  readonly #open: () => DatasetReply
  #ring: BatchRing
  readonly #xShape: readonly number[]
  readonly #yShape: readonly number[]
  readonly #copies: boolean
  #epochs = 0
  /** Zeros of as many rows as the last placeholder. */
  #kept: Batch | undefined
  readonly #draws: DrawCount
  /** The batch that the ring brings next, if it was asked for one. */
  #coming: BatchAddress | undefined

  /** @param open asks the feeder for a ring, and blocks until there is one */
  constructor(tf: typeof Tfjs, session: TrainingSession, rank: number, open: () => DatasetReply) {
    const reply = open()
    this.#tf = tf
    this.#open = open
    this.#session = session
    this.#draws = new DrawCount(session)
    this.#rank = rank
    this.#plan = new SamplePlan(reply.plan)
    this.#ring = new BatchRing(reply.ring)
    this.#xShape = reply.xShape
    this.#yShape = reply.yShape
    this.#copies = tf.getBackend() === 'wasm'
  }

  /** Of the whole dataset. */
  get rows(): number {
    return this.#plan.spec.rows
  }

  toDataset(): Tfjs.data.Dataset<Batch> {
    // tfjs asks twice for an iterator before its first epoch: an epoch begins when a batch is drawn, not before.
    const dataset = this.#tf.data.generator<Batch>(() => this.#iterate() as Iterator<Batch>)
    return Object.assign(dataset, { size: this.#plan.stepsPerEpoch })
  }

  *#iterate(): Generator<Batch, void> {
    const epoch = this.#epochs
    this.#epochs += 1
    for (let ordinal = 0; ordinal < this.#plan.stepsPerEpoch; ordinal++) {
      yield this.#session.replaying ? this.#placeholder(ordinal) : this.#draw({ epoch, ordinal })
    }
  }

  #draw(address: BatchAddress): Batch {
    this.#forgetZeros()
    const began = this.#session.now()
    const slot = this.#take(address)
    if (!same(slot, address)) {
      throw new TroupeError('ERR_INTERNAL', `the feeder sent batch ${text(slot)} instead of ${text(address)}`)
    }
    const batch =
      slot.rows === 0
        ? this.#zeros(1)
        : {
            xs: this.#tensor(slot.xs, slot.rows, this.#xShape),
            ys: this.#tensor(slot.ys, slot.rows, this.#yShape),
          }
    this.#ring.release()
    this.#coming = this.#after(address)
    this.#draws.drew(slot.rows, this.#session.now() - began)
    return batch
  }

  #take(address: BatchAddress): RingBatch {
    for (let wanted = same(this.#coming, address); ; wanted = false) {
      if (!wanted) this.#ring.jump(address)
      const slot = this.#ring.take()
      if (slot !== undefined) return slot
      // The feeder died: the next one finds the batch by the plan.
      this.#ring = new BatchRing(this.#open().ring)
    }
  }

  /** A batch that nobody reads. One of no rows has one all the same: kernels do not like empty tensors. */
  #placeholder(ordinal: number): Batch {
    const rows = this.#plan.size(ordinal, this.#rank)
    this.#draws.drew(rows, 0)
    return this.#zeros(Math.max(1, rows))
  }

  /** Clones share their memory with what is kept: zeros are written once, not for each step. */
  #zeros(rows: number): Batch {
    let kept = this.#kept
    if (kept?.xs.shape[0] !== rows) {
      this.#forgetZeros()
      const zeros = (shape: readonly number[]): Tfjs.Tensor => this.#tf.keep(this.#tf.zeros([rows, ...shape]))
      kept = { xs: zeros(this.#xShape), ys: zeros(this.#yShape) }
      this.#kept = kept
    }
    return { xs: kept.xs.clone(), ys: kept.ys.clone() }
  }

  #forgetZeros(): void {
    this.#kept?.xs.dispose()
    this.#kept?.ys.dispose()
    this.#kept = undefined
  }

  #tensor(values: Float32Array, rows: number, shape: readonly number[]): Tfjs.Tensor {
    const used = values.subarray(0, rows * elementCount(shape))
    // The slot is filled again: a backend that keeps what it is given gets a copy.
    return this.#tf.tensor(this.#copies ? used : used.slice(), [rows, ...shape], 'float32')
  }

  #after({ epoch, ordinal }: BatchAddress): BatchAddress {
    return ordinal + 1 < this.#plan.stepsPerEpoch
      ? { epoch, ordinal: ordinal + 1 }
      : { epoch: epoch + 1, ordinal: 0 }
  }
}

/** Opens a dataset for this rank: blocks until the feeder has it. */
export function openRankDataset(
  tf: typeof Tfjs,
  session: TrainingSession,
  link: HostLink,
  rank: number,
  index: number,
  descriptor: DatasetDescriptor,
  { batchSize, shuffle = true }: DatasetOptions,
): Tfjs.data.Dataset<Batch> {
  const open = (): DatasetReply => link.ask({ ask: 'dataset', index, descriptor, batchSize, shuffle })
  const dataset = new RankDataset(tf, session, rank, open)
  link.tell({ tell: 'opened', index, rows: dataset.rows })
  return dataset.toDataset()
}

function same(a: BatchAddress | undefined, b: BatchAddress): boolean {
  return a !== undefined && a.epoch === b.epoch && a.ordinal === b.ordinal
}

function text({ epoch, ordinal }: BatchAddress): string {
  return `${ordinal} of epoch ${epoch}`
}
