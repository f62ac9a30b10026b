import { TroupeError } from '../errors.js'
import { GenerationFence } from './generation-fence.js'

/** One incarnation of a rank's worker, and the generation of the job to which it belongs. */
export interface WorkerId {
  readonly generation: number
  readonly rank: number
  readonly incarnation: number
}

/** Who pushes, for which step, and by which authority. */
export interface PushHeader extends WorkerId {
  readonly step: number
}

/**
 * `accept`: apply it; `duplicate`: applied already, acknowledge again and keep the first; `stale-generation`,
 * `stale-incarnation`: from before a rollback or from a predecessor of the rank's worker; `future`: the rank skipped
 * a step, which it never does.
 */
export type Verdict = 'accept' | 'duplicate' | 'stale-generation' | 'stale-incarnation' | 'future'

/**
 * What a shard has of each rank. A rank pushes its steps in order, so one number a rank tells everything: the step
 * that is expected next.
 */
export class Ledger {
  readonly #fence: GenerationFence
  readonly #next: number[]
  readonly #incarnation: number[]

  constructor(generation: number, next: readonly number[]) {
    this.#fence = new GenerationFence(generation)
    this.#next = [...next]
    this.#incarnation = next.map(() => 0)
  }

  get ranks(): number {
    return this.#next.length
  }

  /** The step that the rank's next push must be for. */
  next(rank: number): number {
    return this.#next[this.#known(rank)]!
  }

  incarnation(rank: number): number {
    return this.#incarnation[this.#known(rank)]!
  }

  /**
   * From now on only this incarnation may push for the rank; returns the step expected of it.
   *
   * @throws ERR_STALE_GENERATION; ERR_STALE_INCARNATION if a later one was enlisted before
   */
  enlist({ generation, rank, incarnation }: WorkerId): number {
    this.#assertGeneration(generation, rank)
    const current = this.incarnation(rank)
    if (incarnation < current) {
      throw new TroupeError(
        'ERR_STALE_INCARNATION',
        `incarnation ${incarnation} of rank ${rank} comes after its successor ${current}`,
        { data: { rank, incarnation, current } },
      )
    }
    this.#incarnation[rank] = incarnation
    return this.#next[rank]!
  }

  /**
   * Lets only the enlisted incarnation pass.
   *
   * @throws ERR_STALE_GENERATION, ERR_STALE_INCARNATION
   */
  assertCurrent({ generation, rank, incarnation }: WorkerId): void {
    this.#assertGeneration(generation, rank)
    const current = this.incarnation(rank)
    if (incarnation === current) return
    throw new TroupeError(
      'ERR_STALE_INCARNATION',
      `incarnation ${incarnation} of rank ${rank} speaks; ${current} is enlisted`,
      { data: { rank, incarnation, current } },
    )
  }

  /** Takes back what was accepted last of a rank: it is expected again. */
  retract(rank: number): void {
    this.#next[this.#known(rank)]! -= 1
  }

  /** Judges a push and, if it is accepted, counts it. */
  judge({ generation, incarnation, rank, step }: PushHeader): Verdict {
    if (!this.#fence.admits(generation)) return 'stale-generation'
    if (incarnation !== this.incarnation(rank)) return 'stale-incarnation'
    const next = this.#next[rank]!
    if (step < next) return 'duplicate'
    if (step > next) return 'future'
    this.#next[rank] = next + 1
    return 'accept'
  }

  #assertGeneration(generation: number, rank: number): void {
    this.#fence.assert(generation, `rank ${rank} speaks for one`, { rank })
  }

  #known(rank: number): number {
    if (Number.isInteger(rank) && rank >= 0 && rank < this.#next.length) return rank
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `rank ${rank} does not exist; the job has ${this.#next.length} ranks`,
    )
  }
}
