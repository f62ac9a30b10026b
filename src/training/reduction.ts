/** How many elements are reduced at a time: partial sums stay in the first-level cache. */
const BLOCK_ELEMENTS = 2048

const f = Math.fround

/**
 * out = sum of inputs[r] * weights[r] / (sum of weights), elementwise in float32, over a fixed binary tree:
 * neighbours first, ((0 + 1) + (2 + 3)) + ((4 + 5) + …). A rank of weight 0 is not read and stands for nothing.
 *
 * The result depends on inputs and weights alone, not on the order in which they came, nor on how the elements are
 * divided among shards. Returns false, with `out` as it was, when all weights are 0.
 */
export class TreeReduction {
  readonly #ranks: number
  /** One partial sum for each level of the tree. */
  readonly #partial: Float32Array[]

  constructor(ranks: number) {
    this.#ranks = ranks
    const levels = Math.ceil(Math.log2(Math.max(1, ranks)))
    this.#partial = Array.from({ length: levels }, () => new Float32Array(BLOCK_ELEMENTS))
  }

  reduce(out: Float32Array, inputs: readonly Float32Array[], weights: readonly number[]): boolean {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    if (total === 0) return false
    const scale = weights.map(weight => f(weight / total))
    // The width of the tree is a power of two; ranks beyond the last are absent.
    const width = 2 ** this.#partial.length
    for (let from = 0; from < out.length; from += BLOCK_ELEMENTS) {
      const to = Math.min(out.length, from + BLOCK_ELEMENTS)
      this.#node(out.subarray(from, to), 0, width, this.#partial.length - 1, inputs, scale, from)
    }
    return true
  }

  /** Sums ranks [rank, rank + width) into `out`; false if none of them has weight. */
  #node(
    out: Float32Array,
    rank: number,
    width: number,
    level: number,
    inputs: readonly Float32Array[],
    scale: readonly number[],
    from: number,
  ): boolean {
    if (rank >= this.#ranks) return false
    if (width === 1) {
      const weight = scale[rank]!
      if (weight === 0) return false
      const input = inputs[rank]!
      for (let i = 0; i < out.length; i++) out[i] = f(input[from + i]! * weight)
      return true
    }
    const half = width / 2
    const left = this.#node(out, rank, half, level - 1, inputs, scale, from)
    if (!left) return this.#node(out, rank + half, half, level - 1, inputs, scale, from)
    const other = this.#partial[level]!.subarray(0, out.length)
    if (this.#node(other, rank + half, half, level - 1, inputs, scale, from)) {
      for (let i = 0; i < out.length; i++) out[i] = f(out[i]! + other[i]!)
    }
    return true
  }
}

/**
 * Means of what ranks returned, weighted by rows and summed in rank order in float64, rounded to float32 once.
 * A rank of weight 0 is not read.
 */
export function reduceOutputs(
  out: Float32Array,
  inputs: readonly ArrayLike<number>[],
  weights: readonly number[],
): void {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  for (let k = 0; k < out.length; k++) {
    let sum = 0
    for (const [rank, weight] of weights.entries()) if (weight > 0) sum += inputs[rank]![k]! * weight
    out[k] = sum / total
  }
}
