import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { clipFactor, normClipping } from '../../src/training/clipping.js'
import { gradientNorms, normBlocks } from '../../src/training/gradient-norm.js'
import { kernels } from '../../src/training/kernels/choose-kernels.js'
import { KERNEL_SCRATCH_BYTES, type Kernels } from '../../src/training/kernels/kernels.js'
import { PlainKernels } from '../../src/training/kernels/plain-kernels.js'
import { reduceAndUpdate, scaleAndUpdate } from '../../src/training/kernels/slice-update.js'
import { sharedMemory } from '../../src/training/kernels/web-assembly.js'
import type { OptimizerOptions } from '../../src/training/optimizer-options.js'
import { OPTIMIZER_NAMES, optimizerSpec, slotsOf, updateStep } from '../../src/training/optimizer.js'

interface Traces {
  /** Name and shape, in the order of the lists below. */
  readonly variables: Readonly<Record<string, readonly number[]>>
  readonly initial: readonly (readonly number[])[]
  /** By step, then variable. */
  readonly gradients: readonly (readonly (readonly number[])[])[]
  readonly cases: readonly {
    readonly case: string
    readonly optimizer: string
    readonly options: OptimizerOptions
    /** After so many steps, by variable. */
    readonly weights: Readonly<Record<string, readonly (readonly number[])[]>>
  }[]
}

const FIXTURE = join(resolve(import.meta.dirname, '..'), 'fixtures/optimizers/keras-traces.json')
const traces = JSON.parse(await readFile(FIXTURE, 'utf8')) as Traces

/** Largest difference to TensorFlow, as a share of the variable's largest weight. */
const TOLERANCE = 1e-6

const memory = sharedMemory(16)
const simd = kernels(memory, 0)
const plain = new PlainKernels(memory, 0)

/** Byte offsets of one variable's arrays, none on a vector's border. */
function place(index: number): {
  weights: number
  next: number
  gradient: number
  slots: number[]
  sums: number
} {
  const at = KERNEL_SCRATCH_BYTES + index * 4096 + 4
  return {
    weights: at,
    next: at + 512,
    gradient: at + 1024,
    slots: [at + 1536, at + 2048, at + 2560],
    sums: at + 3132,
  }
}

function array(at: number, length: number): Float32Array {
  return new Float32Array(memory.buffer, at, length)
}

/** Trains a case; `seen` gets the weights after each step that the trace kept, by variable. */
function train(
  k: Kernels,
  { optimizer, options, weights }: Traces['cases'][number],
  seen: (step: number, weights: readonly Float32Array[]) => void,
): void {
  const spec = optimizerSpec('o', optimizer, options)
  const slots = slotsOf(spec)
  const clipping = normClipping(spec)
  const elements = new Map(traces.initial.map((values, variable) => [variable, values.length]))
  for (const [variable, values] of traces.initial.entries()) {
    const at = place(variable)
    array(at.weights, values.length).set(values)
    for (const [i, slot] of slots.entries()) array(at.slots[i]!, values.length).fill(slot.initial)
  }
  for (const [i, gradients] of traces.gradients.entries()) {
    const step = updateStep(spec, i + 1)
    for (const [variable, values] of gradients.entries()) {
      array(place(variable).gradient, values.length).set(values)
    }
    const norms = gradientNorms(
      elements,
      gradients.map((values, variable) => {
        const { sums, gradient } = place(variable)
        k.sumSquares(sums, gradient, values.length)
        return {
          variable,
          block: 0,
          sums: new Float64Array(memory.buffer, sums, normBlocks(values.length)).slice(),
        }
      }),
    )
    for (const [variable, { length }] of gradients.entries()) {
      const at = place(variable)
      const slice = {
        from: at.weights,
        to: at.next,
        slots: at.slots.slice(0, slots.length),
        length,
      }
      if (clipping.kind === 'none') {
        reduceAndUpdate(k, step, { inputs: [at.gradient], weights: [1] }, slice)
      } else {
        const norm = clipping.kind === 'global' ? norms.global : norms.byVariable.get(variable)!
        scaleAndUpdate(k, step, at.gradient, clipFactor(clipping, norm), slice)
      }
      array(at.weights, length).set(array(at.next, length))
    }
    if (weights[i + 1] !== undefined) {
      seen(
        i + 1,
        traces.initial.map((values, variable) => array(place(variable).weights, values.length).slice()),
      )
    }
  }
}

/** Of two sets of variables, relative to the largest weight of each variable. */
function difference(got: readonly Float32Array[], expected: readonly (readonly number[])[]): number {
  const shares = expected.map((values, variable) => {
    const largest = Math.max(...values.map(Math.abs))
    return Math.max(...values.map((value, i) => Math.abs(got[variable]![i]! - value))) / largest
  })
  return Math.max(...shares)
}

t.test('traces: every optimizer is there, with every schedule and way of clipping', async t => {
  const optimizers = new Set(traces.cases.map(each => each.optimizer))
  t.strictSame([...optimizers].sort(), [...OPTIMIZER_NAMES].sort())
  for (const name of optimizers) {
    const options = traces.cases.filter(each => each.optimizer === name).map(each => each.options)
    const rates = options.map(each => each['learningRate'])
    const schedules = rates.map(rate => (typeof rate === 'object' ? rate.schedule : 'none'))
    t.equal(new Set(schedules).size, 6, name)
    for (const option of ['weightDecay', 'clipValue', 'clipNorm', 'globalClipNorm']) {
      t.ok(
        options.some(each => each[option] !== undefined),
        `${name} with ${option}`,
      )
    }
  }
  t.equal(traces.gradients.length, 100)
})

for (const k of [plain, simd]) {
  t.test(`optimizers agree with TensorFlow after 100 steps (${k.name})`, async t => {
    for (const each of traces.cases) {
      train(k, each, (step, weights) => {
        const share = difference(weights, each.weights[step]!)
        if (!(share <= TOLERANCE)) t.fail(`${each.case}: ${share} after ${step} steps`)
      })
      t.pass(each.case)
    }
  })
}
