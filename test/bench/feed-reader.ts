// A thread that only reads: the batches of one rank, either from the ring that the feeder fills, or gathered by
// itself from the source (the floor). It reads every number, so that none is skipped for want of use.

import { parentPort, workerData } from 'node:worker_threads'
import { BatchRing, SamplePlan, type SamplePlanSpec } from 'troupe/training'

/** The source, in memory that all threads share; float32, row by row. */
export interface SharedRows {
  readonly xs: Float32Array
  readonly ys: Float32Array
  readonly xSize: number
  readonly ySize: number
}

export interface ReaderData {
  readonly rank: number
  readonly plan: SamplePlanSpec
  readonly source: SharedRows
}

/** Read this epoch, from a ring or from the source itself. */
export interface ReadEpoch {
  readonly epoch: number
  readonly ring: SharedArrayBuffer | null
}

/** What was read: rows, and the sum of all their numbers. */
export interface EpochRead {
  readonly rows: number
  readonly sum: number
}

const { rank, plan: spec, source } = workerData as ReaderData
const plan = new SamplePlan(spec)
const ownXs = new Float32Array(spec.batchSize * source.xSize)
const ownYs = new Float32Array(spec.batchSize * source.ySize)

/** Four sums at a time: one would wait for each addition. */
function sumOf(values: Float32Array, count: number): number {
  let [a, b, c, d] = [0, 0, 0, 0]
  let i = 0
  for (; i + 4 <= count; i += 4) {
    a += values[i]!
    b += values[i + 1]!
    c += values[i + 2]!
    d += values[i + 3]!
  }
  for (; i < count; i++) a += values[i]!
  return a + b + c + d
}

function fromRing(ring: BatchRing, epoch: number): EpochRead {
  let [rows, sum] = [0, 0]
  ring.jump({ epoch, ordinal: 0 })
  for (let ordinal = 0; ordinal < plan.stepsPerEpoch; ordinal++) {
    const batch = ring.take()
    if (batch === undefined) throw new Error('the feeder closed the ring')
    sum += sumOf(batch.xs, batch.rows * source.xSize) + sumOf(batch.ys, batch.rows * source.ySize)
    rows += batch.rows
    ring.release()
  }
  return { rows, sum }
}

function fromSource(epoch: number): EpochRead {
  const { xs, ys, xSize, ySize } = source
  let [rows, sum] = [0, 0]
  for (let ordinal = 0; ordinal < plan.stepsPerEpoch; ordinal++) {
    const batch = plan.batch(epoch, ordinal, rank)
    for (let i = 0; i < batch.length; i++) {
      const row = batch[i]!
      ownXs.set(xs.subarray(row * xSize, (row + 1) * xSize), i * xSize)
      ownYs.set(ys.subarray(row * ySize, (row + 1) * ySize), i * ySize)
    }
    sum += sumOf(ownXs, batch.length * xSize) + sumOf(ownYs, batch.length * ySize)
    rows += batch.length
  }
  return { rows, sum }
}

let ring: BatchRing | undefined
parentPort!.on('message', ({ epoch, ring: buffer }: ReadEpoch) => {
  if (buffer !== null && ring?.buffer !== buffer) ring = new BatchRing(buffer)
  parentPort!.postMessage(buffer === null ? fromSource(epoch) : fromRing(ring!, epoch))
})
