import type { BatchAddress, BatchRing } from './batch-ring.js'
import type { SamplePlan } from './sample-plan.js'

/** Writes rows by number, one after the other, into the arrays. */
export type GatherRows = (rows: Uint32Array, xs: Float32Array, ys: Float32Array) => void

/**
 * The writer's side of a ring: fills it by the plan, as far as there is credit, on over the end of an epoch into the
 * next.
 */
export class BatchFeed {
  readonly ring: BatchRing
  readonly #plan: SamplePlan
  readonly #rank: number
  readonly #gather: GatherRows
  #jump = 0
  #epoch = 0
  #ordinal = 0

  constructor(ring: BatchRing, plan: SamplePlan, rank: number, gather: GatherRows) {
    this.ring = ring
    this.#plan = plan
    this.#rank = rank
    this.#gather = gather
  }

  get stepsPerEpoch(): number {
    return this.#plan.stepsPerEpoch
  }

  /**
   * Fills free slots; to be called when the ring's bell rang.
   *
   * @param stops whether to stop before this batch
   * @returns the rows written
   */
  pump(stops: (address: BatchAddress) => boolean = () => false): number {
    let written = 0
    while (this.ring.credit > 0) {
      const jump = this.ring.jumps
      if (jump === 0) break
      if (jump !== this.#jump) {
        const { epoch, ordinal } = this.ring.wanted
        this.#jump = jump
        this.#epoch = epoch
        this.#ordinal = ordinal
      }
      if (stops({ epoch: this.#epoch, ordinal: this.#ordinal })) break
      const rows = this.#plan.batch(this.#epoch, this.#ordinal, this.#rank)
      this.ring.fill(jump, { epoch: this.#epoch, ordinal: this.#ordinal }, rows.length, (xs, ys) => {
        if (rows.length > 0) this.#gather(rows, xs, ys)
      })
      written += rows.length
      this.#ordinal += 1
      if (this.#ordinal === this.#plan.stepsPerEpoch) {
        this.#ordinal = 0
        this.#epoch += 1
      }
    }
    return written
  }
}
