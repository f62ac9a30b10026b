import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import t from 'tap'
import { spawnThread } from '../../src/node/thread-boot.js'
import { kernelSettingsOf, selectBackend } from '../../src/tensor/index.js'
import {
  chooseKernelSettings,
  currentSettings,
  fixKernelSettings,
  isaText,
  kernelEnvironment,
  machineIsa,
  settingsOf,
  threadsText,
} from '../../src/tensor/native/kernel-settings.js'
import { needTensorFlow } from '../helpers/engines.js'

const { skip } = await needTensorFlow()

t.test('settings: the workers of a machine share its cores; what the environment says counts', async t => {
  t.match(chooseKernelSettings(2, {}, 2), { intraOpThreads: 1, interOpThreads: 1, oneDnn: true })
  t.match(chooseKernelSettings(1, {}, 2), { intraOpThreads: 2 })
  t.match(chooseKernelSettings(3, {}, 16), { intraOpThreads: 5 })
  t.match(chooseKernelSettings(8, {}, 2), { intraOpThreads: 1 }, 'never none')
  const env = {
    TF_NUM_INTRAOP_THREADS: '3',
    TF_NUM_INTEROP_THREADS: '2',
    ONEDNN_MAX_CPU_ISA: 'avx',
    TF_ENABLE_ONEDNN_OPTS: '0',
  }
  const settings = chooseKernelSettings(2, env, 2)
  t.same(settings, { intraOpThreads: 3, interOpThreads: 2, isa: 'AVX', oneDnn: false })
  t.same(chooseKernelSettings(9, kernelEnvironment(settings), 64), settings, 'another machine keeps them')
  t.same(settingsOf(threadsText(settings), isaText(settings)), settings, 'a fingerprint tells them')
  t.equal(settingsOf('1', 'wasm-simd128/x64'), undefined)
})

t.test('settings: no newer instructions than the machine has', async t => {
  const flags = (text: string): string => `processor : 0\nflags\t\t: fpu sse4_1 ${text}\n`
  t.equal(machineIsa(flags('avx avx2 fma avx512f avx512bw avx512vl avx512dq')), 'AVX512_CORE')
  t.equal(machineIsa(flags('avx avx2 fma avx512f')), 'AVX2')
  t.equal(machineIsa(flags('avx')), 'AVX')
  t.equal(machineIsa(''), 'SSE41')
  t.equal(currentSettings({ ONEDNN_MAX_CPU_ISA: 'AVX2' }, flags('avx')).isa, 'AVX')
  t.equal(currentSettings({ ONEDNN_MAX_CPU_ISA: 'AVX' }, flags('avx avx2 fma')).isa, 'AVX')
})

/** What a thread of this process computed. */
interface ThreadResult {
  readonly backend: Awaited<ReturnType<typeof selectBackend>>
  readonly gradient: Float32Array
  readonly pool: number
}

async function inThread(): Promise<ThreadResult> {
  const worker = spawnThread({ main: new URL('../fixtures/tensor/native.ts', import.meta.url), data: null })
  const [result] = (await once(worker, 'message')) as [ThreadResult]
  await once(worker, 'exit')
  return result
}

t.test(
  'threads: TensorFlow computes in several at once, with what the process was set to first',
  { skip },
  async t => {
    const settings = { ...chooseKernelSettings(1), intraOpThreads: 2, interOpThreads: 1 }
    t.same(fixKernelSettings(settings), settings)
    t.same(
      fixKernelSettings({ ...settings, intraOpThreads: 7 }),
      settings,
      'the libraries heed no later change',
    )
    const results = await Promise.all([inThread(), inThread(), inThread()])
    for (const { backend, gradient } of results) {
      t.match(backend, { name: 'native', version: '2.21.0', fingerprint: { threads: 'intra 2, inter 1' } })
      t.same(kernelSettingsOf(backend.fingerprint), settings)
      t.same(gradient, results[0].gradient, 'the same bits')
    }
  },
)

t.test(
  'main thread: without an installed package its copy in the cache is loaded, on our tfjs',
  { skip },
  async t => {
    const require = createRequire(join(t.testdir({}), 'here.js'))
    const backend = await selectBackend({ require })
    t.match(backend, { name: 'native', version: '2.21.0', why: 'the fastest backend loads' })
    t.equal(tf.getBackend(), 'tensorflow')
    t.same(Array.from(tf.matMul([[1, 2]], [[3], [4]]).dataSync()), [11])
  },
)

interface Case {
  readonly name: string
  readonly inputs: readonly number[][]
  readonly of: (...inputs: tf.Tensor[]) => tf.Tensor
}

const CASES: readonly Case[] = [
  { name: 'relu', inputs: [[7, 5]], of: x => tf.relu(x) },
  { name: 'relu of a picture', inputs: [[2, 4, 4, 3]], of: x => tf.relu(x) },
  { name: 'product', inputs: [[7, 5], [5, 3]], of: (a, b) => tf.matMul(a, b) }, // prettier-ignore
  { name: 'product, first transposed', inputs: [[5, 7], [5, 3]], of: (a, b) => tf.matMul(a, b, true) }, // prettier-ignore
  { name: 'product, second transposed', inputs: [[7, 5], [3, 5]], of: (a, b) => tf.matMul(a, b, false, true) }, // prettier-ignore
  { name: 'product, both transposed', inputs: [[5, 7], [3, 5]], of: (a, b) => tf.matMul(a, b, true, true) }, // prettier-ignore
  { name: 'batch of products', inputs: [[2, 7, 5], [2, 5, 3]], of: (a, b) => tf.matMul(a, b) }, // prettier-ignore
  { name: 'bias of rows', inputs: [[7, 5], [5]], of: (a, b) => tf.add(a, b) }, // prettier-ignore
  { name: 'bias first', inputs: [[5], [7, 5]], of: (a, b) => tf.add(a, b) }, // prettier-ignore
  { name: 'bias of a picture', inputs: [[2, 4, 4, 3], [3]], of: (a, b) => tf.add(a, b) }, // prettier-ignore
  { name: 'sum that is no bias', inputs: [[7, 5], [7, 1]], of: (a, b) => tf.add(a, b) }, // prettier-ignore
  { name: 'vector for a vector', inputs: [[5], [5]], of: (a, b) => tf.add(a, b) }, // prettier-ignore
  { name: 'one value for a vector', inputs: [[7, 5], [1]], of: (a, b) => tf.add(a, b) }, // prettier-ignore
]

/** Value and gradients, by a function that weighs every element of the result differently. */
function computed({ inputs, of }: Case): number[][] {
  return tf.tidy(() => {
    const xs = inputs.map((shape, i) => tf.randomNormal(shape, 0, 1, 'float32', i + 1))
    const { value, grads } = tf.valueAndGrads((...args: tf.Tensor[]) => {
      const result = of(...args)
      return tf.sum(
        tf.mul(
          result,
          tf
            .range(1, result.size + 1)
            .reshape(result.shape)
            .sin(),
        ),
      )
    })(xs)
    return [value, ...grads].map(each => Array.from(each.dataSync()))
  })
}

t.test(
  'fast gradients: each is what tfjs computes on its plain backend, which keeps its own',
  { skip },
  async t => {
    const on = async (force: 'native' | 'js'): Promise<number[][][]> => {
      await selectBackend({ force })
      return CASES.map(computed)
    }
    // js after native: the gradients are there, and must leave it alone
    const [fast, stock] = [await on('native'), await on('js')]
    for (const [i, { name }] of CASES.entries()) {
      for (const [k, values] of fast[i]!.entries()) {
        const off = values.map((value, at) => Math.abs(value - stock[i]![k]![at]!))
        t.equal(values.length, stock[i]![k]!.length, name)
        t.ok(
          Math.max(...off) < 2e-5,
          `${name}, ${k === 0 ? 'value' : `gradient ${k}`}: off by ${Math.max(...off)}`,
        )
      }
    }
    t.same(await on('native'), fast, 'the same bits again')
  },
)

t.test('fast gradients: zero has the gradient zero, and nothing is left behind', { skip }, async t => {
  await selectBackend({ force: 'native' })
  const x = tf.tensor1d([-1, 0, 2])
  const before = tf.memory().numTensors
  const gradient = tf.grad(v => tf.relu(v).sum())(x)
  t.same(Array.from(gradient.dataSync()), [0, 0, 1])
  gradient.dispose()
  t.equal(tf.memory().numTensors, before)
})
