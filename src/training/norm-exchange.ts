import { GenerationFence } from './generation-fence.js'
import type { BlockSums } from './gradient-norm.js'

/** What one shard knows of the norms of a step's gradients; every other shard needs it. Plain data. */
export interface NormSums {
  readonly generation: number
  readonly shard: number
  /** Whose push it is, or null where the gradients of all ranks are one. */
  readonly rank: number | null
  /** Of the rank's worker whose push waits for them; 0 where they are of all ranks. */
  readonly incarnation: number
  readonly step: number
  readonly sums: readonly BlockSums[]
}

/**
 * The exchange of sums of squares between shards, as one of them sees it: what it has said, and what it has heard.
 * Saying again and hearing again do no harm, so a lost message may be repeated.
 */
export class NormExchange {
  readonly #shards: number
  readonly #fence: GenerationFence
  /** By rank, what this shard said last: another may still wait for it. */
  readonly #said = new Map<number | null, NormSums>()
  /** By rank and step, then by shard. */
  readonly #heard = new Map<string, Map<number, NormSums>>()

  constructor(shards: number, generation: number) {
    this.#shards = shards
    this.#fence = new GenerationFence(generation)
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
    this.#fence.assert(norms.generation, `shard ${norms.shard} sends norms`)
    this.#keep(norms)
  }

  /**
   * What all shards said about a step; undefined until all have.
   *
   * @param incarnation of the worker whose push waits: what was said about a predecessor's is not about this one
   */
  complete(rank: number | null, step: number, incarnation = 0): BlockSums[] | undefined {
    const heard = [...(this.#heard.get(keyOf(rank, step))?.values() ?? [])]
    const current = heard.filter(norms => norms.incarnation === incarnation)
    if (current.length < this.#shards) return undefined
    return current.flatMap(({ sums }) => sums)
  }

  /**
   * A successor of a rank's worker will push. A step that is in a version here may be missing elsewhere, and is made
   * again there: what was said about it holds for the successor too, since its values stay here. About any other step
   * the successor's own push will tell.
   *
   * @param next the step that is expected of the rank
   * @returns what the other shards are to hear
   */
  succeed(rank: number, incarnation: number, next: number): NormSums | undefined {
    const said = this.#said.get(rank)
    this.#said.delete(rank)
    if (said?.step !== next - 1) return undefined
    const again = { ...said, incarnation }
    this.#said.set(rank, again)
    return again
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
    // What a predecessor's push gave may come late.
    if ((heard.get(norms.shard)?.incarnation ?? 0) <= norms.incarnation) heard.set(norms.shard, norms)
  }
}

function keyOf(rank: number | null, step: number): string {
  return `${rank ?? 'all'}/${step}`
}
