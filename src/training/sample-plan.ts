import { hashSeed } from '../determinism/index.js'
import { describe, TroupeError } from '../errors.js'
import { MAX_PERMUTATION, Permutation } from './permutation.js'

/** What decides which rows make which batch. Plain data: a feeder and every rank compute the same plan from it. */
export interface SamplePlanSpec {
  readonly seed: number
  /** Rows of the dataset. */
  readonly rows: number
  /** Workers of the job. */
  readonly ranks: number
  /** Rows of a full batch of one rank; a step of all ranks takes `ranks` times as many. */
  readonly batchSize: number
  /** A new order each epoch; else rows in their stored order. */
  readonly shuffle: boolean
}

/** The seed of a job's n-th dataset: a place in the program, so it is the same on every machine. */
export function datasetSeed(seed: number, index: number): number {
  return hashSeed(seed, `dataset ${index}`)
}

/**
 * Which rows make batch `ordinal` of a rank in an epoch: a pure function of the spec. Every row is in exactly one
 * batch of an epoch; every rank has the same number of batches; the rows of the last step are dealt as evenly as
 * they go, and a rank for which none is left has an empty batch, which weighs nothing.
 *
 * Any (epoch, ordinal, rank) can be asked for without computing the ones before.
 */
export class SamplePlan {
  readonly spec: SamplePlanSpec
  readonly stepsPerEpoch: number
  #epoch = -1
  #permutation: Permutation | undefined

  /** @throws ERR_INVALID_OPTION */
  constructor(spec: SamplePlanSpec) {
    whole('rows', spec.rows, MAX_PERMUTATION)
    whole('ranks', spec.ranks, MAX_PERMUTATION)
    whole('batchSize', spec.batchSize, MAX_PERMUTATION)
    this.spec = spec
    this.stepsPerEpoch = Math.ceil(spec.rows / (spec.batchSize * spec.ranks))
  }

  /** Rows in this batch; the same in every epoch. */
  size(ordinal: number, rank: number): number {
    return this.#range(ordinal, rank).count
  }

  /** Row numbers of this batch, in the order in which they stand in it. */
  batch(epoch: number, ordinal: number, rank: number): Uint32Array {
    const { from, count } = this.#range(ordinal, rank)
    const rows = new Uint32Array(count)
    if (!this.spec.shuffle) {
      for (let i = 0; i < count; i++) rows[i] = from + i
      return rows
    }
    const order = this.#order(epoch)
    for (let i = 0; i < count; i++) rows[i] = order.at(from + i)
    return rows
  }

  #range(ordinal: number, rank: number): { from: number; count: number } {
    const { rows, ranks, batchSize } = this.spec
    if (!(ordinal >= 0 && ordinal < this.stepsPerEpoch && rank >= 0 && rank < ranks)) {
      throw new TroupeError(
        'ERR_INVALID_OPTION',
        `batch ${ordinal} of rank ${rank} does not exist: ${this.stepsPerEpoch} batches for ${ranks} ranks`,
      )
    }
    const first = ordinal * batchSize * ranks
    const left = Math.min(batchSize * ranks, rows - first)
    const share = Math.floor(left / ranks)
    const extra = left % ranks
    return { from: first + rank * share + Math.min(rank, extra), count: share + (rank < extra ? 1 : 0) }
  }

  #order(epoch: number): Permutation {
    if (this.#permutation === undefined || this.#epoch !== epoch) {
      this.#permutation = new Permutation(hashSeed(this.spec.seed, `epoch ${epoch}`), this.spec.rows)
      this.#epoch = epoch
    }
    return this.#permutation
  }
}

function whole(name: string, value: number, limit: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= limit) return
  throw new TroupeError(
    'ERR_INVALID_OPTION',
    `${name} is ${describe(value)}; it must be a whole number in [1, ${limit}]`,
  )
}
