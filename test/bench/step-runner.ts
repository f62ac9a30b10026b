// A thread that makes training steps without an optimizer: forward, backward, gradients read.

import { parentPort, workerData } from 'node:worker_threads'
import * as tf from '@tensorflow/tfjs'
import { compileStep, type Step } from '../../src/tensor/compiled/index.js'
import { selectBackend, type SelectOptions } from '../../src/tensor/index.js'

export type StepModel = 'mlp' | 'cnn'

export interface StepRunnerOptions extends SelectOptions {
  /** Steps are graphs of TensorFlow. */
  readonly compile?: boolean
}

export interface StepRequest {
  readonly model: StepModel
  readonly steps: number
}

/** What the steps took, and their last loss: arms that compute the same agree in it. */
export interface StepReply {
  readonly seconds: number
  readonly loss: number
}

interface Program {
  readonly step: () => number
}

const SEED = 7

function seeded(shape: number[], scale: number, seed: number): tf.Variable {
  return tf.variable(tf.randomNormal(shape, 0, scale, 'float32', seed))
}

/** Loss of `logits` for labels that are 0, 1, 2 … again and again. */
function program(xShape: number[], logitsOf: (x: tf.Tensor) => tf.Tensor): Program {
  const x = tf.randomUniform(xShape, 0, 1, 'float32', SEED)
  const labels = tf.oneHot(
    Array.from({ length: xShape[0]! }, (_, row) => row % 10),
    10,
  )
  const batch = [x, labels]
  const eager: Step = ([rows, targets]) =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() =>
        tf.losses.softmaxCrossEntropy(targets!, logitsOf(rows!)).asScalar(),
      )
      return [value, ...Object.values(grads)]
    })
  const step = (workerData as StepRunnerOptions).compile === true ? compiled(eager, batch) : eager
  return {
    step() {
      const ends = step(batch)
      const [loss] = ends.map(tensor => tensor.dataSync())
      for (const tensor of ends) tensor.dispose()
      return loss![0]!
    },
  }
}

function compiled(step: Step, batch: readonly tf.Tensor[]): Step {
  const graph = compileStep(tf, step, { weights: [], batch })
  if ('reason' in graph) throw new Error(`the step is not compiled: ${graph.reason}`)
  return inputs => graph.run(inputs)
}

const MODELS: Record<StepModel, () => Program> = {
  mlp() {
    const [w1, b1] = [seeded([784, 512], 0.05, 1), tf.variable(tf.zeros([512]))]
    const [w2, b2] = [seeded([512, 10], 0.05, 2), tf.variable(tf.zeros([10]))]
    return program([128, 784], x => tf.relu(x.matMul(w1).add(b1)).matMul(w2).add(b2))
  },
  cnn() {
    const [f1, c1] = [seeded([3, 3, 1, 32], 0.1, 1), tf.variable(tf.zeros([32]))]
    const [f2, c2] = [seeded([3, 3, 32, 64], 0.05, 2), tf.variable(tf.zeros([64]))]
    const [w1, b1] = [seeded([1600, 128], 0.03, 3), tf.variable(tf.zeros([128]))]
    const [w2, b2] = [seeded([128, 10], 0.1, 4), tf.variable(tf.zeros([10]))]
    return program([32, 28, 28, 1], x => {
      const first = tf.relu(tf.conv2d(x as tf.Tensor4D, f1 as tf.Tensor4D, 1, 'valid').add(c1))
      const pooled = tf.maxPool(first as tf.Tensor4D, 2, 2, 'valid')
      const second = tf.relu(tf.conv2d(pooled, f2 as tf.Tensor4D, 1, 'valid').add(c2))
      const flat = tf.maxPool(second as tf.Tensor4D, 2, 2, 'valid').reshape([32, 1600])
      return tf.relu(flat.matMul(w1).add(b1)).matMul(w2).add(b2)
    })
  },
}

await selectBackend(workerData as StepRunnerOptions)
const programs = new Map<StepModel, Program>()
const port = parentPort!
port.on('message', ({ model, steps }: StepRequest) => {
  const { step } = programs.get(model) ?? MODELS[model]()
  programs.set(model, { step })
  const began = performance.now()
  let loss = 0
  for (let n = 0; n < steps; n++) loss = step()
  port.postMessage({ seconds: (performance.now() - began) / 1000, loss } satisfies StepReply)
})
port.postMessage('ready')
