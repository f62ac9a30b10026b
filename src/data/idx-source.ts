import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TroupeError } from '../errors.js'
import { elements, type IdxDescriptor } from './descriptor.js'
import { badFormat, parseIdx, type IdxFile, type IdxValues } from './idx-format.js'
import { checkGather, resolveRange, type DatasetSource } from './source.js'

/**
 * Reads both files of an IDX dataset into memory and checks them against each other and the descriptor.
 *
 * @throws ERR_DATA_READ when a file cannot be read, ERR_DATA_FORMAT when it is not what it should be
 */
export async function openIdx(descriptor: IdxDescriptor): Promise<DatasetSource> {
  const [images, labels] = await Promise.all([readIdx(descriptor.images), readIdx(descriptor.labels)])
  return new IdxSource(descriptor, images, labels)
}

async function readIdx(url: string): Promise<IdxFile & { name: string }> {
  const path = fileURLToPath(url)
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    throw new TroupeError('ERR_DATA_READ', `cannot read ${path}`, { data: { file: path }, cause: error })
  }
  return { ...parseIdx(bytes, path), name: basename(path) }
}

/** A number for each byte: a table is faster than a multiplication and a conversion. */
const BYTES = 256

class IdxSource implements DatasetSource {
  readonly rowCount: number
  readonly xShape: readonly number[]
  readonly yShape: readonly number[]
  readonly #images: IdxValues
  readonly #labels: IdxValues
  readonly #first: number
  readonly #perRow: number
  readonly #classes: number
  readonly #scale: number
  /** For one-byte features: what each of the 256 bytes becomes. */
  readonly #table: Float32Array | undefined

  constructor(
    descriptor: IdxDescriptor,
    images: IdxFile & { name: string },
    labels: IdxFile & { name: string },
  ) {
    const stored = images.shape[0] as number
    this.#perRow = images.values.length / stored
    this.xShape = descriptor.rowShape ?? [this.#perRow]
    if (elements(this.xShape) !== this.#perRow) {
      const limit = `${this.#perRow} numbers a row`
      badFormat(images.name, 'rowShape', `[${this.xShape.join(', ')}]`, limit)
    }
    if (labels.shape.length !== 1)
      badFormat(labels.name, 'dimensions', `${labels.shape.length}`, '1: a label a row')
    if (labels.shape[0] !== stored) {
      badFormat(labels.name, 'rows', String(labels.shape[0]), `${stored}, as many as ${images.name}`)
    }
    const range = resolveRange(descriptor.range, stored, images.name)
    this.#first = range.from
    this.rowCount = range.to - range.from
    this.#images = images.values
    this.#labels = labels.values
    this.#scale = descriptor.scale
    this.#classes = descriptor.classes
    this.yShape = this.#classes > 0 ? [this.#classes] : [1]
    if (this.#classes > 0) checkLabels(labels, this.#classes)
    if (images.values instanceof Uint8Array) {
      this.#table = Float32Array.from({ length: BYTES }, (_, byte) => byte * this.#scale)
    }
  }

  gather(rows: ArrayLike<number>, xsOut: Float32Array, ysOut: Float32Array): void {
    const perRow = this.#perRow
    const perLabel = this.#classes > 0 ? this.#classes : 1
    checkGather(rows, this.rowCount, [
      ['xsOut', xsOut, perRow],
      ['ysOut', ysOut, perLabel],
    ])
    ysOut.fill(0, 0, rows.length * perLabel)
    for (let i = 0; i < rows.length; i++) {
      const row = this.#first + (rows[i] as number)
      this.#writeFeatures(row * perRow, xsOut, i * perRow)
      const label = this.#labels[row] as number
      if (this.#classes > 0) ysOut[i * perLabel + label] = 1
      else ysOut[i] = label
    }
  }

  #writeFeatures(from: number, out: Float32Array, at: number): void {
    const images = this.#images
    const count = this.#perRow
    const table = this.#table
    if (table !== undefined) {
      for (let k = 0; k < count; k++) out[at + k] = table[images[from + k] as number] as number
    } else {
      const scale = this.#scale
      for (let k = 0; k < count; k++) out[at + k] = (images[from + k] as number) * scale
    }
  }
}

function checkLabels(labels: IdxFile & { name: string }, classes: number): void {
  for (let row = 0; row < labels.values.length; row++) {
    const label = labels.values[row] as number
    if (!(label >= 0 && label < classes && Number.isInteger(label))) {
      badFormat(labels.name, `label of row ${row}`, `${label}`, `a whole number below classes = ${classes}`)
    }
  }
}
