import { TroupeError } from '../errors.js'
import type { RowRange } from './descriptor.js'

/**
 * Rows that can be drawn by number, in any order, as often as one likes. Drawing is synchronous and allocates
 * nothing, since a feeder writes straight into memory that it shares with workers.
 */
export interface DatasetSource {
  readonly rowCount: number
  /** Shape of one row of features. */
  readonly xShape: readonly number[]
  /** Shape of one row of labels. */
  readonly yShape: readonly number[]
  /**
   * Writes rows `rows[0..]` one after the other.
   *
   * @param rows row numbers, each below `rowCount`
   * @param xsOut at least `rows.length * product(xShape)` numbers; what lies behind stays as it is
   * @param ysOut at least `rows.length * product(yShape)` numbers
   * @throws ERR_DATASET when a row does not exist or an output is too short; nothing was written then
   */
  gather(rows: ArrayLike<number>, xsOut: Float32Array, ysOut: Float32Array): void
}

/** Throws unless each row exists and both outputs have room. */
export function checkGather(
  rows: ArrayLike<number>,
  rowCount: number,
  outputs: readonly (readonly [name: string, out: Float32Array, perRow: number])[],
): void {
  for (const [name, out, perRow] of outputs) {
    const needed = rows.length * perRow
    if (out.length < needed) {
      throw new TroupeError(
        'ERR_DATASET',
        `${name} holds ${out.length} numbers; ${rows.length} rows need ${needed}`,
      )
    }
  }
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number
    if (!(row >= 0 && row < rowCount && Number.isInteger(row))) {
      throw new TroupeError('ERR_DATASET', `row ${row} does not exist; the dataset has ${rowCount} rows`)
    }
  }
}

/** The range itself, or all of `stored` rows; throws ERR_DATASET when it reaches beyond them. */
export function resolveRange(range: RowRange | undefined, stored: number, what: string): RowRange {
  if (range === undefined) return { from: 0, to: stored }
  if (range.to > stored) {
    throw new TroupeError('ERR_DATASET', `range.to is ${range.to}; ${what} has ${stored} rows`)
  }
  return range
}
