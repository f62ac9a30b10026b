import { createHash } from 'node:crypto'
import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, TroupeError } from '../errors.js'

/**
 * Says where rows are and how they become numbers. Plain data: a program names it, a feeder elsewhere reads it.
 */
export type DatasetDescriptor = IdxDescriptor | ArraysDescriptor

/** Rows `from` (included) to `to` (left out) of what is stored. */
export interface RowRange {
  readonly from: number
  readonly to: number
}

/** Two files in the IDX format of MNIST: one of features, one of labels, row by row. */
export interface IdxDescriptor {
  readonly format: 'idx'
  /** `file:` URL of the features; its first dimension is the row. */
  readonly images: string
  /** `file:` URL of the labels; one integer a row. */
  readonly labels: string
  /** Each stored number is multiplied by this. */
  readonly scale: number
  /** Labels become one-hot vectors of this length; 0 leaves them one number a row. */
  readonly classes: number
  /** Shape of one row of features; its product is what the file stores a row. Absent: as stored, flat. */
  readonly rowShape?: readonly number[]
  readonly range?: RowRange
}

/** Rows held in memory. */
export interface ArraysDescriptor {
  readonly format: 'arrays'
  /** `rows * product(xShape)` numbers, row by row. */
  readonly xs: Float32Array
  /** `rows * product(yShape)` numbers, row by row. */
  readonly ys: Float32Array
  readonly xShape: readonly number[]
  readonly yShape: readonly number[]
  readonly range?: RowRange
}

/** Bytes of images are 0 to 255. */
const BYTE_SCALE = 1 / 255

export interface IdxOptions {
  /** `file:` URL, or absolute path. */
  readonly images: string | URL
  /** `file:` URL, or absolute path. */
  readonly labels: string | URL
  /** @default 1 / 255 */
  readonly scale?: number
  /** Number of classes; labels become one-hot vectors. @default 0: labels stay numbers */
  readonly classes?: number
  /** Shape of one row of features. @default flat */
  readonly rowShape?: readonly number[]
  /** Only these rows. @default all */
  readonly range?: RowRange
}

/**
 * Describes a dataset in two IDX files.
 *
 * @example idx({ images: '/data/train-images-idx3-ubyte', labels: '/data/train-labels-idx1-ubyte', classes: 10 })
 */
export function idx(options: IdxOptions): IdxDescriptor {
  const { scale = BYTE_SCALE, classes = 0, rowShape, range } = options
  if (!Number.isFinite(scale)) refuse('scale', scale, 'a finite number')
  if (!Number.isInteger(classes) || classes < 0) refuse('classes', classes, 'a whole number of at least 0')
  if (rowShape !== undefined) checkShape('rowShape', rowShape)
  checkRange(range)
  return {
    format: 'idx',
    images: fileUrl('images', options.images),
    labels: fileUrl('labels', options.labels),
    scale,
    classes,
    ...(rowShape === undefined ? {} : { rowShape: [...rowShape] }),
    ...(range === undefined ? {} : { range: { from: range.from, to: range.to } }),
  }
}

export interface ArraysOptions {
  readonly xs: Float32Array
  readonly ys: Float32Array
  readonly xShape: readonly number[]
  /** @default [1] */
  readonly yShape?: readonly number[]
  readonly range?: RowRange
}

/**
 * Describes rows that are in memory already.
 *
 * @example arrays({ xs: new Float32Array(4 * 2), ys: new Float32Array(4), xShape: [2] }) // 4 rows of 2 features
 */
export function arrays(options: ArraysOptions): ArraysDescriptor {
  const { xs, ys, xShape, yShape = [1], range } = options
  if (!(xs instanceof Float32Array)) refuse('xs', xs, 'a Float32Array')
  if (!(ys instanceof Float32Array)) refuse('ys', ys, 'a Float32Array')
  checkShape('xShape', xShape)
  checkShape('yShape', yShape)
  checkRange(range)
  const rows = xs.length / elements(xShape)
  if (!Number.isInteger(rows) || rows < 1) refuse('xs', `${xs.length} numbers`, `rows of ${elements(xShape)}`)
  if (ys.length !== rows * elements(yShape)) {
    refuse('ys', `${ys.length} numbers`, `${rows * elements(yShape)}: ${rows} rows of ${elements(yShape)}`)
  }
  return {
    format: 'arrays',
    xs,
    ys,
    xShape: [...xShape],
    yShape: [...yShape],
    ...(range === undefined ? {} : { range: { from: range.from, to: range.to } }),
  }
}

/** Equal for descriptors of the same rows, whoever made them: 32 hexadecimal digits. */
export function datasetKey(descriptor: DatasetDescriptor): string {
  const hash = createHash('sha256')
  const plain = Object.entries(descriptor).filter(([, value]) => !ArrayBuffer.isView(value))
  hash.update(JSON.stringify(plain.sort(([a], [b]) => (a < b ? -1 : 1))))
  if (descriptor.format === 'arrays') {
    // Some typed arrays lie on shared memory, which a hash does not take: it gets a copy.
    for (const part of [descriptor.xs, descriptor.ys])
      hash.update(new Uint8Array(Float32Array.from(part).buffer))
  }
  return hash.digest('hex').slice(0, 32)
}

/** Numbers in a row of this shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function fileUrl(field: string, value: string | URL): string {
  const text = String(value)
  if (text.startsWith('file:')) return text
  if (isAbsolute(text)) return pathToFileURL(text).href
  return refuse(field, text, 'a file: URL or an absolute path')
}

function checkShape(field: string, shape: readonly number[]): void {
  if (!Array.isArray(shape) || !shape.every(size => Number.isInteger(size) && size > 0)) {
    refuse(field, shape, 'a list of whole numbers of at least 1')
  }
}

function checkRange(range: RowRange | undefined): void {
  if (range === undefined) return
  const { from, to } = range
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to <= from) {
    refuse('range', range, 'whole numbers 0 <= from < to')
  }
}

function refuse(field: string, got: unknown, limit: string): never {
  throw new TroupeError('ERR_DATASET', `dataset.${field} must be ${limit}; got ${describe(got)}`, {
    data: { field, limit },
  })
}
