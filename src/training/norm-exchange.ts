import { TroupeError } from '../errors.js'
import type { BlockSums } from './gradient-norm.js'

/** What one shard knows of the norms of a step's gradients; every other shard needs it. Plain data. */
export interface NormSums {
  readonly generation: number
  readonly shard: number
  /** Whose push it is, or null where the gradients of all ranks are one. */
  readonly rank: number | null
  readonly step: number
  readonly sums: readonly BlockSums[]
}

/**
 * The exchange of sums of squares between shards, as one of them sees it: what it has said, and what it has heard.
 * Saying again and hearing again do no harm, so a lost message may be repeated.
 */
export class NormExchange {
  readonly #shards: number
  readonly #generation: number
  /** By rank, what this shard said last: another may still wait for it. */
  readonly #said = new Map<number | null, NormSums>()
  /** By rank and step, then by shard. */
  readonly #heard = new Map<string, Map<number, NormSums>>()

  constructor(shards: number, generation: number) {
    this.#shards = shards
    this.#generation = generation
  }

  /** To be said again if another shard seems not to have heard it. */
  get said(): NormSums[] {
    return [...this.#said.values()]
  }

  say(norms: NormSums): void {
    this.#said.set(norms.rank, norms)
    this.#keep(norms)
  }

  /** @throws ERR_STALE_GENERATION */
  hear(norms: NormSums): void {
    if (norms.generation === this.#generation) {
      this.#keep(norms)
      return
    }
    throw new TroupeError(
      'ERR_STALE_GENERATION',
      `shard ${norms.shard} sent norms of generation ${norms.generation}, not ${this.#generation}`,
    )
  }

  /** What all shards said about a step; undefined until all have. */
  complete(rank: number | null, step: number): BlockSums[] | undefined {
    const heard = this.#heard.get(keyOf(rank, step))
    if (heard === undefined || heard.size < this.#shards) return undefined
    return [...heard.values()].flatMap(({ sums }) => sums)
  }

  /** A step is closed here: what is heard about it is needed no more. */
  forget(rank: number | null, step: number): void {
    this.#heard.delete(keyOf(rank, step))
  }

  #keep(norms: NormSums): void {
    const key = keyOf(norms.rank, norms.step)
    let heard = this.#heard.get(key)
    if (heard === undefined) {
      heard = new Map()
      this.#heard.set(key, heard)
    }
    heard.set(norms.shard, norms)
  }
}

function keyOf(rank: number | null, step: number): string {
  return `${rank ?? 'all'}/${step}`
}
