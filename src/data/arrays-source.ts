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
      gatherRows(rows, from, xs, xSize, xsOut)
      gatherRows(rows, from, ys, ySize, ysOut)
    },
  }
}

/** From this many numbers on, a view of a row and one copy are faster than a loop. */
const MIN_BLOCK = 32

function gatherRows(
  rows: ArrayLike<number>,
  from: number,
  source: Float32Array,
  size: number,
  out: Float32Array,
): void {
  for (let i = 0; i < rows.length; i++) {
    const at = (from + (rows[i] as number)) * size
    if (size >= MIN_BLOCK) out.set(source.subarray(at, at + size), i * size)
    else for (let k = 0; k < size; k++) out[i * size + k] = source[at + k] as number
  }
}
