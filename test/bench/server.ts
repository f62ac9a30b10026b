// The arithmetic of a parameter server: SIMD kernels against plain TypeScript and against copying as many elements.

import { kernels } from '../../src/training/kernels/choose-kernels.js'
import { KERNEL_SCRATCH_BYTES, type Kernels } from '../../src/training/kernels/kernels.js'
import { PlainKernels } from '../../src/training/kernels/plain-kernels.js'
import { reduceAndUpdate } from '../../src/training/kernels/slice-update.js'
import { PAGE_BYTES, sharedMemory } from '../../src/training/kernels/web-assembly.js'
import { OPTIMIZER_NAMES, optimizerSpec, slotsOf, updateStep } from '../../src/training/optimizer.js'
import { defineBench } from './harness.js'

/** A model of 16 MB on one server: larger than the caches, as in training. */
const ELEMENTS = 4 * 2 ** 20

/** Weights before and after, the mean, what two ranks pushed, and up to three slots. */
const ARRAYS = 8

/** Beyond its elements each array takes some lines more, so that no two begin at the same place of a cache. */
const STRIDE_BYTES = ELEMENTS * 4 + 5 * 64

/** Passes over the elements that one measurement makes: enough for some tenths of a second. */
const PASSES = 12
const PLAIN_PASSES = 2

const RANKS = 2

function arrayAt(index: number): number {
  return KERNEL_SCRATCH_BYTES + index * STRIDE_BYTES
}

/** Elements a second in the fastest of some passes: the others had to share the machine. */
function rate(passes: number, pass: () => void): number {
  let fastest = Infinity
  for (let i = 0; i < passes; i++) {
    const started = performance.now()
    pass()
    fastest = Math.min(fastest, performance.now() - started)
  }
  return (ELEMENTS / fastest) * 1000
}

export default defineBench('server', b => {
  const memory = sharedMemory(Math.ceil((KERNEL_SCRATCH_BYTES + ARRAYS * STRIDE_BYTES) / PAGE_BYTES))
  const values = new Float32Array(memory.buffer)
  for (let i = 0; i < values.length; i++) values[i] = 0.01 + ((i * 0.618) % 1)
  const [from, to, mean, push0, push1, ...slots] = Array.from({ length: ARRAYS }, (_, i) => arrayAt(i)) as [
    number,
    number,
    number,
    number,
    number,
    ...number[],
  ]
  const simd = kernels(memory, 0)
  if (simd.name !== 'simd') throw new Error('this engine has no SIMD over shared memory')
  const plain = new PlainKernels(memory, 0)
  // What a copy costs at best: memory that is not shared, where the engine may use the machine's own memcpy.
  const source = Float32Array.from({ length: ELEMENTS }, (_, i) => i)
  const target = new Float32Array(ELEMENTS)
  const inputs = [push0, push1]
  const weights = new Array<number>(RANKS).fill(1)

  const compare = (name: string, pass: (k: Kernels) => void): void => {
    const unit = 'elements/s'
    b.arm({ case: name, unit, better: 'higher', run: () => rate(PASSES, () => pass(simd)) })
    b.arm({
      case: `${name}-plain`,
      unit,
      better: 'higher',
      run: () => rate(PLAIN_PASSES, () => pass(plain)),
    })
    b.arm({
      case: `${name}-memcpy`,
      unit,
      better: 'higher',
      run: () => rate(PASSES, () => target.set(source)),
    })
  }

  compare('reduce', k => void k.reduce(mean, inputs, weights, ELEMENTS))
  for (const name of OPTIMIZER_NAMES) {
    const spec = optimizerSpec(name, name)
    const step = updateStep(spec, 10)
    const used = slots.slice(0, slotsOf(spec).length)
    compare(name, k => k.update(step, { from, to, gradient: mean, slots: used, length: ELEMENTS }))
  }
  const adam = updateStep(optimizerSpec('adam', 'adam'), 10)
  const slice = { from, to, slots: slots.slice(0, 2), length: ELEMENTS }
  compare('reduce-adam', k => void reduceAndUpdate(k, adam, { inputs, weights }, slice))
  b.arm({
    case: 'reduce-adam-apart',
    unit: 'elements/s',
    better: 'higher',
    run: () =>
      rate(PASSES, () => {
        simd.reduce(mean, inputs, weights, ELEMENTS)
        simd.update(adam, { ...slice, gradient: mean })
      }),
  })
  b.bar({ case: 'adam', against: 'adam-plain', atLeast: 5 })
  b.bar({ case: 'reduce', against: 'reduce-memcpy', atLeast: 0.4 })
})
