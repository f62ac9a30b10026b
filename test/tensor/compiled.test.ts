import * as tf from '@tensorflow/tfjs'
import t from 'tap'
import { seedMathRandom } from '../../src/determinism/index.js'
import { chooseKernelSettings, fixKernelSettings, selectBackend } from '../../src/tensor/index.js'
import {
  CompiledSteps,
  compileStep,
  type CompiledStep,
  type RefusalKind,
  type Step,
} from '../../src/tensor/compiled/index.js'
import { needTensorFlow } from '../helpers/engines.js'

const { skip } = await needTensorFlow()
if (skip === false) {
  fixKernelSettings({ ...chooseKernelSettings(1), oneDnn: true })
  await selectBackend({ force: 'native' })
}

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
    name: 'embedding and lstm, masked',
    rowShape: [6],
    words: 20,
    make: () => [
      layers.embedding({ inputDim: 20, outputDim: 4, inputLength: 6, maskZero: true }),
      layers.lstm({ units: 5 }),
    ],
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
  t.test(
    `${kind.name}: a compiled step gives the eager step's bits, on other data, weights and seeds`,
    { skip },
    t => {
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
    },
  )
}

t.test('what cannot be a graph is refused with its reason, and leaves everything as it was', { skip }, t => {
  const weight = tf.variable(tf.randomNormal([4, 3], 0, 1, 'float32', 5))
  const x = tf.randomNormal([6, 4], 0, 1, 'float32', 6)
  const product = (batch: readonly tf.Tensor[]): tf.Tensor => tf.matMul(batch[0] as tf.Tensor2D, weight)
  let calls = 0
  let cache: tf.Tensor | undefined
  const REFUSED: [kind: RefusalKind, message: RegExp, step: Step][] = [
    [
      'step-reads',
      /^the step reads what its op \w*MatMul\w* gave/,
      batch => {
        const y = product(batch)
        return y.dataSync()[0]! > 1e9 ? [y.neg()] : [y]
      },
    ],
    [
      'step-reads',
      /^the step reads a tensor that it did not compute/,
      batch => [weight.dataSync()[0]! > 1e9 ? batch[0]! : product(batch)],
    ],
    [
      'step-waits',
      /^the step returns a promise/,
      ((batch: readonly tf.Tensor[]) => Promise.resolve([product(batch)])) as unknown as Step,
    ],
    [
      'step-failed',
      /^the step failed while it was traced: no luck/,
      () => {
        throw new Error('no luck')
      },
    ],
    [
      'host-data',
      /^a tensor of shape \[\] that the step makes in JavaScript has other values/,
      batch => [product(batch).mul(++calls)],
    ],
    [
      'host-data',
      /^a tensor of shape \[6, 3\] .* no uniform random numbers/,
      batch => [product(batch).add(tf.randomNormal([6, 3]))],
    ],
    [
      'host-data',
      /^a tensor of shape \[6, 3\]/,
      batch => [product(batch).mul(tf.randomUniform([6, 3], -1, 1))],
    ],
    [
      'host-data',
      /^the step draws 1 random numbers that are no seed/,
      batch => [Math.random() < 2 ? product(batch) : batch[0]!],
    ],
    [
      'structure',
      /does not do the same each time: .* was op Neg and then op Abs/,
      batch => [++calls % 2 === 0 ? product(batch).abs() : product(batch).neg()],
    ],
    ['structure', /came at its end/, batch => [++calls % 2 === 0 ? product(batch).abs() : product(batch)]],
    [
      'structure',
      /it returned or assigned other tensors/,
      batch => {
        const both = [product(batch), batch[0]!.neg()] as const
        return [both[++calls % 2]!]
      },
    ],
    [
      'structure',
      /^the step does not do the same each time: step 1 of it was a tensor of shape \[\] from JavaScript/,
      batch => {
        cache ??= tf.keep(tf.scalar(2).neg())
        return [product(batch).mul(cache)]
      },
    ],
    [
      'unknown-type',
      /^op Complex gives a tensor of TensorFlow's type 8|complex64/,
      batch => [tf.real(tf.fft(tf.complex(product(batch), product(batch))))],
    ],
    [
      'bits-differ',
      /^the graph does not give the eager step's bits: \d+ of 24 elements of result 0 differ, the first is 0 and in the graph -0/,
      ([rows]) => {
        const filter = weight.slice([0, 0], [3, 3]).reshape([3, 3, 1, 1]) as tf.Tensor4D
        const image = rows!.reshape([1, 6, 4, 1]) as tf.Tensor4D
        const bias = weight.slice([0, 0], [1, 1]).reshape([1])
        return [tf.conv2d(image, filter, 1, 'same').add(bias).relu()]
      },
    ],
    [
      'stateful-op',
      /^op Multinomial goes on from where it was/,
      batch => [tf.multinomial(product(batch) as tf.Tensor2D, 4, 7)],
    ],
  ]
  const native = tf.backend() as unknown as {
    executeSingleOutput(op: string, attributes: unknown[], inputs: tf.Tensor[]): tf.Tensor
  }
  REFUSED.push([
    'graph-refused',
    /^TensorFlow does not take the step's graph: .*No attr named 'T'/,
    batch => [native.executeSingleOutput('Square', [], [product(batch)])],
  ])
  for (const [kind, message, step] of REFUSED) {
    calls = 0
    const [before, tensors] = [weight.dataSync().slice(), tf.memory().numTensors]
    const result = compileStep(tf, step, { weights: [weight], batch: [x] })
    t.match(result, { kind, reason: message }, `${kind}: ${String(message)}`)
    t.strictSame(weight.dataSync(), before)
    cache?.dispose()
    cache = undefined
    t.equal(tf.memory().numTensors, tensors, 'no tensor is left behind')
  }

  t.match(
    compileStep(tf, batch => [product(batch).mul([1, 2, 3])], {
      weights: [],
      batch: [x],
      maxConstantBytes: 11,
    }),
    { kind: 'too-large', reason: 'the step brings 12 bytes of constants; the limit is 11' },
  )

  const embed: Step = ([rows]) => [tf.gather(weight, rows as tf.Tensor1D)]
  const graph = compiled(embed, [weight], [tf.tensor1d([0, 3], 'int32')])
  t.strictSame(
    copies(graph.run([tf.tensor1d([2, 2], 'int32')])),
    copies(embed([tf.tensor1d([2, 2], 'int32')])),
  )
  t.throws(() => graph.run([tf.tensor1d([1, 2, 3], 'int32')]), {
    code: 'ERR_TENSOR_SHAPE',
    message: /^a compiled step got a batch of int32\[3\]; it is for int32\[2\]/,
  })
  const outside = [tf.tensor1d([0, 4], 'int32')]
  t.throws(() => embed(outside), /not in \[0, 3\]/)
  t.throws(() => graph.run(outside), /indices\[1\] = 4 is not in \[0, 4\)/, 'checked by TensorFlow instead')
  graph.dispose()
  t.end()
})

t.test(
  'a graph for each shape of batch; as many as are allowed, and eager steps for other batches',
  { skip },
  t => {
    const { step, weights, batch } = trained({ rowShape: [12], make: () => [layers.dropout({ rate: 0.5 })] })
    const steps = new CompiledSteps(tf, step, { weights, maxGraphs: 2 })
    const reads: Step = inputs => (inputs[0]!.dataSync()[0]! > 1e9 ? [] : step(inputs))
    const eager = new CompiledSteps(tf, reads, { weights })
    for (const rows of [8, 8, 3, 8, 5, 3]) {
      const data = batch(rows, rows)
      const expected = outcome(() => step(data), weights, rows)
      t.strictSame(
        outcome(() => steps.run(data), weights, rows),
        expected,
        `${rows} rows`,
      )
      t.strictSame(
        outcome(() => eager.run(data), weights, rows),
        expected,
        `${rows} rows, eagerly`,
      )
      tf.dispose(data)
    }
    t.match(steps.choices(), [
      { batch: 'float32[8, 12], float32[8, 5]', refused: undefined },
      { batch: 'float32[3, 12], float32[3, 5]', refused: undefined },
      {
        batch: 'float32[5, 12], float32[5, 5]',
        refused: {
          kind: 'too-many-shapes',
          reason: 'there are graphs for batches of 2 other shapes; the limit is 2',
        },
      },
    ])
    t.strictSame(
      eager.choices().map(({ refused }) => refused?.kind),
      ['step-reads', 'step-reads', 'step-reads'],
    )
    steps.dispose()
    eager.dispose()
    t.end()
  },
)

t.test(
  'weights that the program changes, and variables that nobody named, count at each run',
  { skip },
  t => {
    const named = tf.variable(tf.tensor1d([1, 2]))
    const other = tf.variable(tf.tensor1d([10, 20]))
    const held = tf.tensor1d([100, 200])
    const step: Step = ([x]) => {
      other.assign(tf.add(other, 1))
      return [tf.addN([x!, named, other, held]), x!]
    }
    const graph = compiled(step, [named], [held])
    t.strictSame(Array.from(other.dataSync()), [10, 20])
    const sums = [1, 2].map(() => {
      const [sum, same] = graph.run([tf.tensor1d([1000, 2000])])
      named.assign(tf.tensor1d([3, 4]))
      return [Array.from(sum!.dataSync()), Array.from(same!.dataSync())]
    })
    t.strictSame(sums, [
      [
        [1112, 2223],
        [1000, 2000],
      ],
      [
        [1115, 2226],
        [1000, 2000],
      ],
    ])
    t.strictSame(Array.from(other.dataSync()), [12, 22], 'assigned by the graph, too')
    graph.dispose()
    t.end()
  },
)

t.test('steps are compiled on native TensorFlow only', { skip }, async t => {
  await selectBackend({ force: 'js' })
  t.match(
    compileStep(tf, batch => batch, { weights: [], batch: [] }),
    {
      kind: 'backend',
      reason: 'steps are compiled on native TensorFlow; this thread has cpu',
    },
  )
})
