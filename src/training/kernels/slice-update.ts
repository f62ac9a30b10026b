import type { UpdateStep } from '../optimizer.js'
import type { Kernels, UpdateElements } from './kernels.js'

/** Elements handled at a time: their gradient stays in the second-level cache, and calls cost little beside them. */
export const CHUNK_ELEMENTS = 16384

/** Where the elements of one slice lie, as {@link UpdateElements}. */
export type SliceElements = Omit<UpdateElements, 'gradient'>

/** What the ranks pushed for one slice. */
export interface SlicePushes {
  /** One byte offset for each rank. */
  readonly inputs: readonly number[]
  /** The rows of each rank. */
  readonly weights: readonly number[]
}

/**
 * Reduces what the ranks pushed and updates a slice by it, in one pass over memory: for optimizers that need no norm.
 *
 * @returns false, with nothing written, when all weights are 0
 */
export function reduceAndUpdate(
  kernels: Kernels,
  step: UpdateStep,
  { inputs, weights }: SlicePushes,
  slice: SliceElements,
): boolean {
  const only = onlyRank(weights)
  if (only === 'none') return false
  for (let at = 0; at < slice.length; at += CHUNK_ELEMENTS) {
    const length = Math.min(CHUNK_ELEMENTS, slice.length - at)
    if (only === 'several') {
      const chunks = inputs.map(input => input + at * 4)
      kernels.reduce(kernels.scratch, chunks, weights, length)
      updateChunk(kernels, step, slice, at, length, kernels.scratch)
    } else {
      // Its weight over the total is 1: its values are the mean.
      updateChunk(kernels, step, slice, at, length, inputs[only]! + at * 4)
    }
  }
  return true
}

/**
 * Updates a slice by its reduced gradient times a factor: for optimizers that clip by a norm.
 *
 * @param gradient byte offset of the reduced gradient; not written
 * @param factor see `clipFactor`; float32
 */
export function scaleAndUpdate(
  kernels: Kernels,
  step: UpdateStep,
  gradient: number,
  factor: number,
  slice: SliceElements,
): void {
  for (let at = 0; at < slice.length; at += CHUNK_ELEMENTS) {
    const length = Math.min(CHUNK_ELEMENTS, slice.length - at)
    if (factor === 1) updateChunk(kernels, step, slice, at, length, gradient + at * 4)
    else {
      kernels.scale(kernels.scratch, gradient + at * 4, factor, length)
      updateChunk(kernels, step, slice, at, length, kernels.scratch)
    }
  }
}

function updateChunk(
  kernels: Kernels,
  step: UpdateStep,
  slice: SliceElements,
  at: number,
  length: number,
  gradient: number,
): void {
  const { clipValue, weightDecay, learningRate } = step
  const to = slice.to + at * 4
  let from = slice.from + at * 4
  let clipped = gradient
  if (clipValue !== undefined) {
    clipped = kernels.scratch
    kernels.clip(clipped, gradient, clipValue, length)
  }
  if (weightDecay > 0) {
    kernels.decay(to, from, weightDecay, learningRate, length)
    from = to
  }
  kernels.update(step, { from, to, gradient: clipped, slots: slice.slots.map(slot => slot + at * 4), length })
}

/** The rank that alone has weight, if there is one. */
function onlyRank(weights: readonly number[]): number | 'none' | 'several' {
  const weighted = weights.findIndex(weight => weight > 0)
  if (weighted === -1) return 'none'
  return weights.some((weight, rank) => weight > 0 && rank !== weighted) ? 'several' : weighted
}
