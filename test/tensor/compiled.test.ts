import { createRequire } from 'node:module'
import * as tf from '@tensorflow/tfjs'
import t from 'tap'
import { seedMathRandom } from '../../src/determinism/index.js'
import { selectBackend } from '../../src/tensor/index.js'
import { compileStep, type CompiledStep, type Step } from '../../src/tensor/compiled/index.js'

const require = createRequire(import.meta.url)
require('/work/shared/engines/tensorflow/hook.cjs')(
  '/tmp/tf-trial2/tf/tensorflow/tfjs_binding.node',
  require.resolve('@tensorflow/tfjs-node-gpu/package.json'),
)
await selectBackend({ force: 'native' })

const { layers } = tf
const IMAGE = [8, 8, 3]
const SEQUENCE = [6, 4]
const CLASSES = 5

interface Kind {
  readonly name: string
  readonly rowShape: readonly number[]
  readonly make: () => tf.layers.Layer[]
  /** How many words an embedding knows; then rows are of words. */
  readonly words?: number
  readonly regression?: boolean
}

const KINDS: readonly Kind[] = [
  { name: 'dense', rowShape: [12], make: () => [layers.dense({ units: 7, activation: 'relu' })] },
  ...(['sigmoid', 'tanh', 'elu', 'selu', 'softplus', 'linear'] as const).map(activation => ({
    name: `dense, ${activation}`,
    rowShape: [12],
    make: () => [layers.dense({ units: 7, activation })],
  })),
  {
    name: 'dense with regularizers',
    rowShape: [12],
    make: () => [layers.dense({ units: 7, kernelRegularizer: tf.regularizers.l1l2({ l1: 0.01, l2: 0.02 }) })],
  },
  {
    name: 'conv',
    rowShape: IMAGE,
    make: () => [
      layers.conv2d({ filters: 4, kernelSize: 3, activation: 'relu' }),
      layers.conv2d({ filters: 5, kernelSize: 3, strides: 2, padding: 'same' }),
    ],
  },
  { name: 'conv1d', rowShape: SEQUENCE, make: () => [layers.conv1d({ filters: 4, kernelSize: 2 })] },
  {
    name: 'transposed conv',
    rowShape: IMAGE,
    make: () => [layers.conv2dTranspose({ filters: 4, kernelSize: 2, strides: 2 })],
  },
  {
    name: 'depthwise conv',
    rowShape: IMAGE,
    make: () => [
      layers.conv2d({ filters: 4, kernelSize: 1 }),
      layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, activation: 'relu' }),
    ],
  },
  {
    name: 'separable conv',
    rowShape: IMAGE,
    make: () => [
      layers.conv2d({ filters: 4, kernelSize: 1 }),
      layers.separableConv2d({ filters: 6, kernelSize: 3 }),
    ],
  },
  {
    name: 'max pooling',
    rowShape: IMAGE,
    make: () => [layers.conv2d({ filters: 4, kernelSize: 3 }), layers.maxPooling2d({ poolSize: 2 })],
  },
  {
    name: 'average pooling',
    rowShape: IMAGE,
    make: () => [
      layers.conv2d({ filters: 4, kernelSize: 3 }),
      layers.averagePooling2d({ poolSize: 2 }),
      layers.globalAveragePooling2d({}),
    ],
  },
  {
    name: 'batch norm of images',
    rowShape: IMAGE,
    make: () => [layers.conv2d({ filters: 4, kernelSize: 3 }), layers.batchNormalization(), layers.reLU()],
  },
  {
    name: 'batch norm of rows',
    rowShape: [12],
    make: () => [layers.dense({ units: 7 }), layers.batchNormalization()],
  },
  {
    name: 'layer norm',
    rowShape: [12],
    make: () => [layers.dense({ units: 7 }), layers.layerNormalization()],
  },
  {
    name: 'embedding',
    rowShape: [6],
    words: 20,
    make: () => [layers.embedding({ inputDim: 20, outputDim: 4, inputLength: 6 })],
  },
  { name: 'lstm', rowShape: SEQUENCE, make: () => [layers.lstm({ units: 5 })] },
  {
    name: 'lstm, all states',
    rowShape: SEQUENCE,
    make: () => [layers.lstm({ units: 5, returnSequences: true })],
  },
  { name: 'gru', rowShape: SEQUENCE, make: () => [layers.gru({ units: 5 })] },
  {
    name: 'bidirectional rnn',
    rowShape: SEQUENCE,
    make: () => [layers.bidirectional({ layer: layers.simpleRNN({ units: 4 }), mergeMode: 'concat' })],
  },
  {
    name: 'dropout',
    rowShape: [12],
    make: () => [
      layers.dense({ units: 7, activation: 'relu' }),
      layers.dropout({ rate: 0.5 }),
      layers.dense({ units: 7 }),
      layers.dropout({ rate: 0.1 }),
    ],
  },
  { name: 'dropout with a seed', rowShape: [12], make: () => [layers.dropout({ rate: 0.5, seed: 3 })] },
  { name: 'alpha dropout', rowShape: [12], make: () => [layers.alphaDropout({ rate: 0.5 })] },
  {
    name: 'lstm with dropout',
    rowShape: SEQUENCE,
    make: () => [layers.lstm({ units: 5, dropout: 0.2, recurrentDropout: 0.3 })],
  },
  { name: 'prelu', rowShape: [12], make: () => [layers.dense({ units: 7 }), layers.prelu()] },
]
const ROWS = 8

/** Leaves the weights as they are and keeps the gradients, as the optimizer of a job does. */
class Capture extends tf.Optimizer {
  gradients: tf.Tensor[] = []

  override applyGradients(gradients: tf.NamedTensorMap | { name: string; tensor: tf.Tensor }[]): void {
    const list = Array.isArray(gradients) ? gradients.map(({ tensor }) => tensor) : Object.values(gradients)
    this.gradients = list.map(gradient => tf.keep(gradient.clone()))
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {}
  }
}

interface Trained {
  readonly step: Step
  readonly weights: tf.Variable[]
  readonly batch: (seed: number, rows?: number) => tf.Tensor[]
}

type TrainFunction = (data: readonly tf.Tensor[]) => tf.Scalar[]

/** A model of this kind, and a step of it that returns loss, accuracy and gradients. */
function trained({ rowShape, make, words }: Omit<Kind, 'name'>): Trained {
  const input = tf.input({ shape: [...rowShape] })
  let at: tf.SymbolicTensor = input
  for (const layer of make()) at = layer.apply(at) as tf.SymbolicTensor
  if (at.shape.length > 2) at = layers.flatten().apply(at) as tf.SymbolicTensor
  at = layers.dense({ units: CLASSES, activation: 'softmax' }).apply(at) as tf.SymbolicTensor
  const model = tf.model({ inputs: input, outputs: at })
  const optimizer = new Capture()
  model.compile({ optimizer, loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
  const train = (model as unknown as { makeTrainFunction(): TrainFunction }).makeTrainFunction()
  return {
    step: batch => [...train(batch), ...optimizer.gradients],
    weights: model.weights.map(weight => weight.read() as tf.Variable),
    batch: (seed, rows = ROWS) =>
      tf.tidy(() => {
        const shape = [rows, ...rowShape]
        const x =
          words === undefined
            ? tf.randomNormal(shape, 0, 1, 'float32', seed)
            : tf.randomUniform(shape, 0, words, 'int32', seed).toFloat()
        const labels = tf.randomUniform([rows], 0, CLASSES, 'int32', seed + 1) as tf.Tensor1D
        return [x, tf.oneHot(labels, CLASSES).toFloat()]
      }),
  }
}

function compiled(step: Step, weights: readonly tf.Variable[], batch: readonly tf.Tensor[]): CompiledStep {
  const result = compileStep(tf, step, { weights, batch })
  if ('reason' in result) throw new Error(`${result.kind}: ${result.reason}`)
  return result
}

const copies = (tensors: readonly tf.Tensor[]): tf.TypedArray[] =>
  tensors.map(tensor => tensor.dataSync().slice())

/** What a step gives, and what is in the weights after it; then the weights are what they were. */
function outcome(run: () => readonly tf.Tensor[], weights: readonly tf.Variable[], seed: number): unknown {
  const before = weights.map(weight => tf.keep(weight.clone()))
  const random = seedMathRandom(seed)
  const outputs = run()
  const nextDraw = random.next()
  random.restore()
  const given = { outputs: copies(outputs), weights: copies(weights), nextDraw }
  for (const [i, weight] of weights.entries()) weight.assign(before[i]!)
  tf.dispose([...outputs, ...before])
  return given
}

for (const kind of KINDS) {
  t.test(`${kind.name}: a compiled step gives the eager step's bits, on other data, weights and seeds`, t => {
    const { step, weights, batch } = trained(kind)
    const sample = batch(1)
    // Some layers keep what they drew until their next step.
    outcome(() => step(sample), weights, 1)
    const before = copies(weights)
    const tensors = tf.memory().numTensors
    const { random } = Math
    const graph = compiled(step, weights, sample)
    t.equal(Math.random, random)
    t.strictSame(copies(weights), before, 'probes leave the weights and statistics as they were')
    t.ok(graph.ops > 10)

    for (const seed of [10, 20, 30]) {
      const data = batch(seed)
      const eager = outcome(() => step(data), weights, seed)
      const got = outcome(() => graph.run(data), weights, seed)
      t.strictSame(got, eager, `step with seed ${seed}`)
      for (const weight of weights) {
        const next = tf.tidy(() => tf.mul(weight, 1.25))
        weight.assign(next)
        next.dispose()
      }
      tf.dispose(data)
    }
    graph.dispose()
    t.equal(tf.memory().numTensors, tensors, 'neither probes nor steps nor the graph leave a tensor behind')
    tf.dispose(sample)
    t.end()
  })
}
