// One training step of a small model, without optimizer and exchange: forward, backward, all gradients read into
// JavaScript. Native TensorFlow with the gradients of tfjs, with ours, and with the step as one graph; and wasm.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { chooseKernelSettings, fixKernelSettings } from '../../src/tensor/index.js'
import { defineBench } from './harness.js'
import type { StepModel, StepReply, StepRunnerOptions } from './step-runner.js'

/** Of each measurement. */
const STEPS: Record<StepModel, number> = { mlp: 100, cnn: 40 }

/** Ways to compute a step: what the figures are named after, and what the thread is told. */
const WAYS: readonly (readonly [name: string, options: StepRunnerOptions])[] = [
  ['eager', { force: 'native', fastGradients: false }],
  ['fast', { force: 'native' }],
  ['compiled', { force: 'native', compile: true }],
  ['wasm', { force: 'wasm' }],
]

/** Gradients differ by the order of their sums, and no weight changes: so do not losses, beyond a rounding. */
const MAX_LOSS_DIFFERENCE = 1e-4

class Runner {
  readonly #thread: Worker
  readonly #ready: Promise<unknown>

  constructor(options: StepRunnerOptions) {
    this.#thread = new Worker(new URL('./step-runner.js', import.meta.url), { workerData: options })
    this.#ready = once(this.#thread, 'message')
  }

  async run(model: StepModel, steps: number): Promise<StepReply> {
    await this.#ready
    const reply = once(this.#thread, 'message')
    this.#thread.postMessage({ model, steps })
    const [answer] = (await reply) as [StepReply]
    return answer
  }

  async close(): Promise<void> {
    await this.#thread.terminate()
  }
}

export default defineBench(
  'step',
  b => {
    fixKernelSettings(chooseKernelSettings(1))
    const losses = new Map<StepModel, number>()
    for (const [name, options] of WAYS) {
      const runner = new Runner(options)
      b.after(() => runner.close())
      for (const model of ['mlp', 'cnn'] as const) {
        b.arm({
          case: `${model}-${name}`,
          unit: 'steps/s',
          better: 'higher',
          async run() {
            const steps = STEPS[model]
            const { seconds, loss } = await runner.run(model, steps)
            const expected = losses.get(model) ?? loss
            losses.set(model, expected)
            if (Math.abs(loss - expected) > MAX_LOSS_DIFFERENCE) {
              throw new Error(`${model} by ${name}: the loss is ${loss}, by others ${expected}`)
            }
            return steps / seconds
          },
        })
      }
    }
    for (const model of ['mlp', 'cnn'] as const) {
      b.bar({ case: `${model}-fast`, against: `${model}-eager`, atLeast: 1.5 })
    }
    b.bar({ case: 'mlp-compiled', against: 'mlp-eager', atLeast: 2 })
    b.bar({ case: 'cnn-compiled', against: 'cnn-eager', atLeast: 3 })
  },
  { packages: ['@tensorflow/tfjs', '@tensorflow/tfjs-node-gpu'] },
)
