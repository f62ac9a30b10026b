import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import t from 'tap'
import { spawnThread } from '../../src/node/thread-boot.js'
import {
  backendError,
  checkTrainable,
  fingerprintDifferences,
  missingGradients,
  selectBackend,
  type BackendName,
} from '../../src/tensor/index.js'
import { loadNative } from '../../src/tensor/native.js'

/** A folder with no node_modules above it. */
function emptyFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  return dir
}

// No native TensorFlow is in the cache of this file's tests, whatever this machine has: native.test.ts needs one.
process.env['TROUPE_CACHE'] = emptyFolder()

/** A folder whose node_modules hold a native package with these files in it. */
function folderWith(dir: string, packageName: string, files: Record<string, string>): NodeJS.Require {
  const root = join(dir, 'node_modules', packageName)
  for (const [name, content] of Object.entries({ 'package.json': `{"name":"${packageName}"}`, ...files })) {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  return createRequire(join(dir, 'here.js'))
}

t.test('native: what is missing is said, silently and without a trace in tfjs', async t => {
  const printed: unknown[] = []
  t.intercept(console, 'warn', { value: (line: unknown) => printed.push(line) })
  t.intercept(console, 'error', { value: (line: unknown) => printed.push(line) })

  t.match(await loadNative(tf, { require: createRequire(join(emptyFolder(), 'here.js')) }), {
    found: false,
    why: 'neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node is installed; troupe provision tensorflow installs it',
  })
  const noAddon = folderWith(emptyFolder(), '@tensorflow/tfjs-node-gpu', {})
  t.match(await loadNative(tf, { require: noAddon }), {
    found: false,
    why: /^tfjs-node-gpu is installed without its native library; troupe provision tensorflow installs it$/,
  })
  const badAddon = folderWith(emptyFolder(), '@tensorflow/tfjs-node', {
    'lib/napi-v8/tfjs_binding.node': 'not a library',
    'index.js': 'throw new Error("the package must not be required when its addon does not load")',
  })
  t.match(await loadNative(tf, { require: badAddon }), {
    found: false,
    why: /^the native library of tfjs-node does not load: .*tfjs_binding.node/,
  })
  t.same(tf.getKernelsForBackend('tensorflow'), [])
  t.equal(tf.findBackendFactory('tensorflow'), null)
  t.same(printed, [])
})

t.test('native: an addon that loads is taken first, from wherever node-pre-gyp was told to look', async t => {
  const dir = emptyFolder()
  const require = folderWith(dir, '@tensorflow/tfjs-node-gpu', {
    'node_modules/@mapbox/node-pre-gyp/package.json': '{}',
    // A .js file in the addon's place: loading a real one is not the point.
    'node_modules/@mapbox/node-pre-gyp/lib/pre-binding.js':
      'exports.find = m => m.replace("package.json", "addon.js")',
    'addon.js': 'exports.TF_Version = "2.21.0"',
    'index.js': 'exports.loaded = true',
  })
  t.equal((await loadNative(tf, { require })).found, false, 'node-pre-gyp is not loaded: not asked')
  require(
    join(dir, 'node_modules/@tensorflow/tfjs-node-gpu/node_modules/@mapbox/node-pre-gyp/lib/pre-binding.js'),
  )
  t.same(await loadNative(tf, { require }), {
    found: true,
    from: '@tensorflow/tfjs-node-gpu',
    tensorflow: '2.21.0',
  })

  await t.rejects(selectBackend({ force: 'native', require }), {
    code: 'ERR_BACKEND_UNAVAILABLE',
    message: /tfjs-node-gpu brings another copy of @tensorflow\/tfjs: install the one of version 4/,
  })
  const { KernelBackend } = tf
  tf.registerBackend('tensorflow', () => Object.assign(new KernelBackend(), { dispose() {} }))
  t.teardown(() => tf.removeBackend('tensorflow'))
  t.match(await selectBackend({ require, fastGradients: false }), {
    name: 'native',
    version: '2.21.0',
    why: 'the fastest backend loads',
    fingerprint: { backend: 'native', build: 'libtensorflow 2.21.0, stock gradients' },
  })
})

t.test('the best backend that loads is taken, and says why; another can be forced', async t => {
  const best = await selectBackend()
  t.match(best, {
    name: 'wasm',
    version: '4.22.0',
    why: /^tfjs-node-gpu is installed without its native library; troupe provision/,
  })
  t.equal(tf.getBackend(), 'wasm', 'in the copy of tfjs that programs import')
  t.match(best.fingerprint, {
    backend: 'wasm',
    build: 'tfjs-backend-wasm 4.22.0',
    threads: '1',
    isa: `wasm-simd128/${process.arch}`,
    node: process.version,
    tfjs: '4.22.0',
  })

  const printed: unknown[] = []
  t.intercept(console, 'warn', { value: (line: unknown) => printed.push(line) })
  const js = await selectBackend({ force: 'js' })
  t.match(js, { name: 'js', why: 'it was asked for' })
  t.equal(tf.getBackend(), 'cpu')
  t.same(
    tf.tidy(() => Array.from(tf.tensor([1, 2]).square().dataSync())),
    [1, 4],
  )
  t.same(printed, [], 'no advertisement')
  t.same(fingerprintDifferences(best.fingerprint, best.fingerprint), [])
  t.match(fingerprintDifferences(best.fingerprint, js.fingerprint), [
    'backend: wasm -> js',
    /^build: /,
    /^isa: /,
  ])

  await t.rejects(selectBackend({ force: 'native' }), {
    code: 'ERR_BACKEND_UNAVAILABLE',
    message: /^backend native is not available: tfjs-node-gpu is installed without .* Remedy: choose another/,
    data: { backend: 'native' },
  })
  await t.rejects(selectBackend({ force: 'gpu' as BackendName }), {
    message: /^backend is "gpu"; known: native, wasm, js/,
  })
  t.equal((await selectBackend({ force: 'wasm' })).why, 'it was asked for')
})

t.test('an engine in the cache that does not load is said so, and the next backend taken', async t => {
  const cache = t.testdir({})
  const dir = join(cache, 'tensorflow', `2.21.0-${process.platform}-${process.arch}`)
  mkdirSync(join(dir, 'tensorflow'), { recursive: true })
  writeFileSync(join(dir, 'tensorflow', 'tfjs_binding.node'), 'not a library')
  const manifest = { name: 'tensorflow', version: '2.21.0', source: 'test', bytes: 1 }
  writeFileSync(join(dir, 'engine.json'), JSON.stringify(manifest))
  const empty = process.env['TROUPE_CACHE']
  process.env['TROUPE_CACHE'] = cache
  t.teardown(() => void (process.env['TROUPE_CACHE'] = empty))
  t.match(await selectBackend(), {
    name: 'wasm',
    why: /^TensorFlow in .* does not load: .*tfjs_binding.node/,
  })
})

t.test('a thread selects and trains for itself, and keeps its own handling of errors', async t => {
  const worker = spawnThread({
    main: new URL('../fixtures/tensor/select.ts', import.meta.url),
    data: null,
  })
  const [message] = (await once(worker, 'message')) as [Record<string, unknown>]
  t.match(message, { backend: { name: 'wasm' }, tfjs: 'wasm', x: 0, listeners: 0 })
  await once(worker, 'exit')
})

/** One of each kind of layer, by the shape of a row it takes. */
const { layers } = tf
const IMAGE = [6, 6, 3]
const SEQUENCE = [8, 3]
const KINDS: readonly (readonly [rowShape: number[], make: () => tf.layers.Layer])[] = [
  [SEQUENCE, () => layers.conv1d({ filters: 2, kernelSize: 2 })],
  [IMAGE, () => layers.conv2d({ filters: 2, kernelSize: 2, activation: 'relu' })],
  [IMAGE, () => layers.conv2d({ filters: 2, kernelSize: 2, useBias: false })],
  [IMAGE, () => layers.conv2dTranspose({ filters: 2, kernelSize: 2 })],
  [[4, 4, 4, 2], () => layers.conv3d({ filters: 2, kernelSize: 2 })],
  [IMAGE, () => layers.depthwiseConv2d({ kernelSize: 2 })],
  [IMAGE, () => layers.separableConv2d({ filters: 2, kernelSize: 2 })],
  [[3, 6, 6, 2], () => layers.convLstm2d({ filters: 2, kernelSize: 2 })],
  [SEQUENCE, () => layers.maxPooling1d({ poolSize: 2 })],
  [IMAGE, () => layers.maxPooling2d({ poolSize: 2 })],
  [IMAGE, () => layers.averagePooling2d({ poolSize: 2 })],
  [[4, 4, 4, 2], () => layers.maxPooling3d({ poolSize: [2, 2, 2], strides: [2, 2, 2], padding: 'valid' })],
  [IMAGE, () => layers.globalAveragePooling2d({})],
  [IMAGE, () => layers.upSampling2d({ size: [2, 2] })],
  [IMAGE, () => layers.zeroPadding2d({ padding: 1 })],
  [IMAGE, () => layers.batchNormalization()],
  [[6], () => layers.layerNormalization()],
  [[6], () => layers.dropout({ rate: 0.5 })],
  [SEQUENCE, () => layers.lstm({ units: 4 })],
  [SEQUENCE, () => layers.gru({ units: 4 })],
  [SEQUENCE, () => layers.bidirectional({ layer: layers.simpleRNN({ units: 4 }), mergeMode: 'concat' })],
  [SEQUENCE, () => layers.timeDistributed({ layer: layers.dense({ units: 4 }) })],
  [[2, ...IMAGE], () => layers.timeDistributed({ layer: layers.conv2d({ filters: 2, kernelSize: 2 }) })],
  [[6], () => layers.prelu()],
  [[6], () => layers.dense({ units: 4, activation: 'selu' })],
]

/** A model with `layer` in it: `trained` before it or not, itself frozen or not. */
function modelWith(rowShape: number[], layer: tf.layers.Layer, before: boolean): tf.LayersModel {
  const input = tf.input({ shape: rowShape })
  let at: tf.SymbolicTensor = input
  if (before) at = layers.dense({ units: rowShape.at(-1)! }).apply(at) as tf.SymbolicTensor
  at = layer.apply(at) as tf.SymbolicTensor
  if (at.shape.length > 2) at = layers.flatten().apply(at) as tf.SymbolicTensor
  return tf.model({ inputs: input, outputs: layers.dense({ units: 1 }).apply(at) as tf.SymbolicTensor })
}

async function trains(model: tf.LayersModel, rowShape: number[]): Promise<boolean> {
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
  try {
    await model.trainOnBatch(tf.ones([2, ...rowShape]), tf.ones([2, 1]))
    return true
  } catch (error) {
    if ((backendError(error) as { code?: string }).code === 'ERR_BACKEND_CANNOT_TRAIN') return false
    throw error
  }
}

t.test('a model is refused exactly when its first step would find a kernel missing', async t => {
  await selectBackend({ force: 'wasm' })
  t.intercept(console, 'warn', { value: () => undefined })
  let refused = 0
  for (const [rowShape, make] of KINDS) {
    for (const before of [false, true]) {
      for (const frozen of [false, true]) {
        const layer = make()
        layer.trainable = !frozen
        const model = modelWith(rowShape, layer, before)
        const verdict = missingGradients(tf, model, 'wasm').length === 0
        const title = `${layer.getClassName()} ${before ? 'after a trained layer' : 'first'}${frozen ? ', frozen' : ''}`
        t.equal(verdict, await trains(model, rowShape), title)
        t.same(missingGradients(tf, model, 'js'), [], `${title}: js has every kernel`)
        if (!verdict) refused++
      }
    }
  }
  const embedding = tf.sequential({
    layers: [
      layers.embedding({ inputDim: 3, outputDim: 2, inputLength: 4 }),
      layers.flatten(),
      layers.dense({ units: 1 }),
    ],
  })
  t.equal(missingGradients(tf, embedding, 'wasm')[0]?.className, 'Embedding')
  t.equal(await trains(embedding, [4]), false)
  t.ok(refused >= 6, `${refused} refused`)
})

t.test('the refusal names layer, kernel and remedy, also inside nested models', async t => {
  const inner = tf.sequential({
    name: 'features',
    layers: [layers.depthwiseConv2d({ name: 'edges', kernelSize: 2, inputShape: IMAGE }), layers.flatten()],
  })
  const outer = tf.sequential({ name: 'outer', layers: [inner, layers.dense({ units: 1 })] })
  t.throws(() => checkTrainable(tf, outer, 'wasm'), {
    code: 'ERR_BACKEND_CANNOT_TRAIN',
    message:
      /^the wasm backend cannot train this model: layer features\/edges \(DepthwiseConv2D\) needs DepthwiseConv2dNativeBackpropFilter\. Remedy: .*--backend js/,
    data: {
      missing: [
        {
          layer: 'features/edges',
          className: 'DepthwiseConv2D',
          kernels: ['DepthwiseConv2dNativeBackpropFilter'],
        },
      ],
    },
  })
  t.doesNotThrow(() => checkTrainable(tf, outer, 'js'))
  inner.trainable = false
  t.doesNotThrow(() => checkTrainable(tf, outer, 'wasm'), 'frozen features: transfer learning works')
  const depthwise = layers.depthwiseConv2d({ name: 'mix', kernelSize: 2, inputShape: IMAGE })
  depthwise.trainable = false
  const after = tf.sequential({
    layers: [
      layers.dense({ units: 3, inputShape: IMAGE }),
      tf.sequential({ name: 'nested', layers: [depthwise] }),
      layers.flatten(),
      layers.dense({ units: 1 }),
    ],
  })
  t.match(missingGradients(tf, after, 'wasm'), [
    { layer: 'nested/mix', kernels: ['DepthwiseConv2dNativeBackpropInput'] },
  ])
  const other = new Error('another')
  t.equal(backendError(other), other)
  t.match(backendError(new Error("Error: Kernel 'FFT' not registered for backend 'wasm'")), {
    code: 'ERR_BACKEND_CANNOT_TRAIN',
    message: /^the wasm backend has no kernel FFT/,
    data: { kernels: ['FFT'] },
  })
})

t.test('wasm: transposed operands multiply as upright ones do, and leave nothing behind', async t => {
  await selectBackend({ force: 'wasm' })
  for (const shape of [[], [1], [3]]) {
    const a = tf.randomNormal([...shape, 40, 30])
    const b = tf.randomNormal([...shape, 30, 20])
    const swap = (x: tf.Tensor): tf.Tensor => {
      const axes = x.shape.map((_, axis) => axis)
      return tf.transpose(x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!])
    }
    const [aT, bT] = [swap(a), swap(b)]
    const expected = tf.matMul(a, b)
    const before = tf.memory().numTensors
    for (const [x, y, tx, ty] of [
      [aT, b, true, false],
      [a, bT, false, true],
      [aT, bT, true, true],
    ] as const) {
      const product = tf.matMul(x, y, tx, ty)
      t.strictSame(product.shape, expected.shape)
      const off = tf.tidy(() => tf.max(tf.abs(tf.sub(product, expected))).dataSync()[0]!)
      t.ok(off < 1e-4, `differs by ${off}`)
      product.dispose()
    }
    t.equal(tf.memory().numTensors, before)
    tf.dispose([a, b, aT, bT, expected])
  }
})

t.test(
  'wasm: the gradient of convolution filters is that of the JavaScript backend, and leaves nothing behind',
  async t => {
    type Case = [
      x: tf.Tensor4D['shape'],
      filter: tf.Tensor4D['shape'],
      strides: number,
      pad: 'same' | 'valid' | number,
    ]
    const cases: readonly Case[] = [
      [[2, 9, 8, 3], [3, 3, 3, 4], 1, 'valid'],
      [[2, 9, 8, 3], [3, 2, 3, 5], 2, 'same'],
      [[1, 7, 7, 1], [5, 4, 1, 2], 1, 'same'],
      [[3, 6, 6, 2], [1, 1, 2, 3], 1, 1],
      [[2, 10, 9, 2], [3, 3, 2, 3], 3, 'valid'],
    ]
    const gradient = ([xShape, filterShape, strides, pad]: Case): Float32Array => {
      const [x, filter]: [tf.Tensor4D, tf.Tensor4D] = [
        tf.randomNormal(xShape, 0, 1, 'float32', 3),
        tf.randomNormal(filterShape, 0, 1, 'float32', 4),
      ]
      const before = tf.memory().numTensors
      const result = tf.grad(w =>
        tf
          .conv2d(x, w as tf.Tensor4D, strides, pad)
          .square()
          .sum(),
      )(filter)
      t.equal(tf.memory().numTensors, before + 1)
      const values = result.dataSync().slice() as Float32Array
      tf.dispose([x, filter, result])
      return values
    }
    const byBackend: Float32Array[][] = []
    for (const force of ['js', 'wasm'] as const) {
      await selectBackend({ force })
      byBackend.push(cases.map(gradient))
    }
    const [expected, got] = byBackend
    for (const [i, values] of got!.entries()) {
      const largest = Math.max(...expected![i]!.map(Math.abs))
      const off = Math.max(...values.map((value, k) => Math.abs(value - expected![i]![k]!)))
      t.ok(off < 1e-6 * largest, `case ${i}: differs by ${off} of ${largest}`)
    }
  },
)
