import { TroupeError } from '../errors.js'
import { NORM_BLOCK_ELEMENTS } from './kernels/kernels.js'

/** Sums of squares of consecutive blocks of one variable's gradient, as `Kernels.sumSquares` makes them. */
export interface BlockSums {
  /** Index of the variable. */
  readonly variable: number
  /** Of the first block, within the variable: its first element over {@link NORM_BLOCK_ELEMENTS}. */
  readonly block: number
  readonly sums: Float64Array
}

/** L2 norms of the gradients of one step, in float64. */
export interface GradientNorms {
  readonly byVariable: ReadonlyMap<number, number>
  /** Over all of them. */
  readonly global: number
}

/** How many blocks a run of elements has that begins at a block's border. */
export function normBlocks(elements: number): number {
  return Math.ceil(elements / NORM_BLOCK_ELEMENTS)
}

/**
 * Adds what the shards know of a step's gradients. Blocks are those of a variable, whichever shards hold it, and are
 * added in their order, then the variables in theirs: so the bits do not depend on the layout, nor on the order of
 * `pieces`.
 *
 * @param elements how many elements each variable of the step has
 * @throws ERR_INTERNAL when a block is missing, is there twice, or belongs to none of the variables
 */
export function gradientNorms(
  elements: ReadonlyMap<number, number>,
  pieces: Iterable<BlockSums>,
): GradientNorms {
  const ordered = [...pieces].sort((a, b) => a.variable - b.variable || a.block - b.block)
  const squares = new Map([...elements.keys()].sort((a, b) => a - b).map(variable => [variable, 0]))
  const next = new Map<number, number>()
  for (const { variable, block, sums } of ordered) {
    const expected = next.get(variable) ?? 0
    let square = squares.get(variable)
    if (square === undefined) {
      throw new TroupeError('ERR_INTERNAL', `sums of squares of variable ${variable}, which the step has not`)
    }
    if (block !== expected) throw misplaced(variable, block, expected)
    for (const sum of sums) square += sum
    squares.set(variable, square)
    next.set(variable, block + sums.length)
  }
  let total = 0
  for (const [variable, square] of squares) {
    const got = next.get(variable) ?? 0
    const expected = normBlocks(elements.get(variable)!)
    if (got !== expected) throw misplaced(variable, got, expected)
    total += square
  }
  const byVariable = new Map([...squares].map(([variable, square]) => [variable, Math.sqrt(square)]))
  return { byVariable, global: Math.sqrt(total) }
}

function misplaced(variable: number, got: number, expected: number): TroupeError {
  return new TroupeError(
    'ERR_INTERNAL',
    `sums of squares of variable ${variable} go on at block ${got}, not ${expected}`,
    { data: { variable, got, expected } },
  )
}
