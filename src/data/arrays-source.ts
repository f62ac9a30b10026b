import { elements, type ArraysDescriptor } from './descriptor.js'
import { checkGather, resolveRange, type DatasetSource } from './source.js'

/** Rows of arrays in memory. The arrays are not copied: do not write to them while a job reads them. */
export function openArrays(descriptor: ArraysDescriptor): DatasetSource {
  const { xs, ys, xShape, yShape } = descriptor
  const xSize = elements(xShape)
  const ySize = elements(yShape)
  const { from, to } = resolveRange(descriptor.range, xs.length / xSize, 'the arrays')
  const rowCount = to - from
  return {
    rowCount,
    xShape,
    yShape,
    gather(rows, xsOut, ysOut) {
      checkGather(rows, rowCount, [
        ['xsOut', xsOut, xSize],
        ['ysOut', ysOut, ySize],
      ])
      for (let i = 0; i < rows.length; i++) {
        const row = from + (rows[i] as number)
        for (let k = 0; k < xSize; k++) xsOut[i * xSize + k] = xs[row * xSize + k] as number
        for (let k = 0; k < ySize; k++) ysOut[i * ySize + k] = ys[row * ySize + k] as number
      }
    },
  }
}
