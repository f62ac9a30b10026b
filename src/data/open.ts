import { describe, TroupeError } from '../errors.js'
import { openArrays } from './arrays-source.js'
import { elements, type DatasetDescriptor } from './descriptor.js'
import { openIdx } from './idx-source.js'
import type { DatasetSource } from './source.js'

/**
 * Opens what a descriptor names.
 *
 * @throws ERR_DATASET for a format that is not known or a range beyond the rows, ERR_DATA_READ, ERR_DATA_FORMAT
 */
export async function openDataset(descriptor: DatasetDescriptor): Promise<DatasetSource> {
  switch (descriptor.format) {
    case 'idx':
      return openIdx(descriptor)
    case 'arrays':
      return openArrays(descriptor)
    default: {
      const { format } = descriptor as { format?: unknown }
      throw new TroupeError('ERR_DATASET', `dataset.format is ${describe(format)}; known: "idx", "arrays"`)
    }
  }
}

/** All rows in their stored order. */
export interface LoadedRows {
  readonly rowCount: number
  /** `[rowCount, ...row]` */
  readonly xShape: readonly number[]
  readonly yShape: readonly number[]
  readonly xs: Float32Array
  readonly ys: Float32Array
}

/**
 * Reads a whole dataset into memory: for evaluation, or data small enough to hold.
 *
 * @example
 * const test = await loadDataset(idx({ images, labels, classes: 10 }))
 * model.evaluate(tf.tensor(test.xs, test.xShape), tf.tensor(test.ys, test.yShape))
 */
export async function loadDataset(descriptor: DatasetDescriptor): Promise<LoadedRows> {
  const source = await openDataset(descriptor)
  const { rowCount, xShape, yShape } = source
  const xs = new Float32Array(rowCount * elements(xShape))
  const ys = new Float32Array(rowCount * elements(yShape))
  source.gather(
    Array.from({ length: rowCount }, (_, row) => row),
    xs,
    ys,
  )
  return { rowCount, xShape: [rowCount, ...xShape], yShape: [rowCount, ...yShape], xs, ys }
}
