import { createHash } from 'node:crypto'
import { TroupeError } from '../errors.js'
import type { DatasetDescriptor } from './descriptor.js'

/** A dataset as a program opens it. */
export interface OpenedDataset {
  /** How many datasets the program opened before. */
  readonly index: number
  readonly descriptor: DatasetDescriptor
  readonly batchSize: number
  readonly shuffle: boolean
}

/** Numbers at each end of an array that are looked at: all of a large one would take longer than opening it. */
const SAMPLE = 1024

/** Holds the workers of a job to the same datasets in the same order: each gets its share of what the first opened. */
export class DatasetAgreement {
  readonly #known = new Map<number, { readonly rank: number; readonly text: string }>()

  /** @throws ERR_RANKS_DIVERGED if another worker opened another dataset at this place of its program */
  check(rank: number, opened: OpenedDataset): void {
    const text = openedText(opened)
    const known = this.#known.get(opened.index)
    if (known === undefined) this.#known.set(opened.index, { rank, text })
    else if (known.text !== text) {
      throw new TroupeError(
        'ERR_RANKS_DIVERGED',
        `dataset ${opened.index + 1} of rank ${rank} is ${text}; of rank ${known.rank} it is ${known.text}`,
        { data: { index: opened.index, rank, got: text, job: known.text } },
      )
    }
  }
}

/** Equal for the same rows, dealt alike, on any machine: of files the name counts, not where they lie. */
function openedText({ descriptor, batchSize, shuffle }: OpenedDataset): string {
  return `${descriptorText(descriptor)} in ${shuffle ? 'shuffled ' : ''}batches of ${batchSize}`
}

function descriptorText(descriptor: DatasetDescriptor): string {
  const { range } = descriptor
  const rows = range === undefined ? '' : `, rows ${range.from} to ${range.to}`
  switch (descriptor.format) {
    case 'idx': {
      const { images, labels, scale, classes, rowShape = [] } = descriptor
      const shape = rowShape.length === 0 ? '' : ` as [${rowShape.join('x')}]`
      return `${baseName(images)} * ${scale}${shape} with ${baseName(labels)} of ${classes} classes${rows}`
    }
    case 'arrays': {
      const { xs, ys, xShape, yShape } = descriptor
      const hash = createHash('sha256')
      for (const part of [xs, ys]) {
        hash
          .update(Float32Array.from(part.subarray(0, SAMPLE)))
          .update(Float32Array.from(part.subarray(-SAMPLE)))
      }
      const shapes = `${xs.length} numbers as [${xShape.join('x')}] with ${ys.length} as [${yShape.join('x')}]`
      return `arrays of ${shapes} (${hash.digest('hex').slice(0, 8)})${rows}`
    }
  }
}

function baseName(url: string): string {
  return url.slice(url.lastIndexOf('/') + 1)
}
