import type { KernelCall } from '../update-rule.js'
import type { SharedMemory } from './web-assembly.js'

/** Elements of a variable whose squares are summed at a time: a norm is the sum of these in their order. */
export const NORM_BLOCK_ELEMENTS = 256

/** Bytes that {@link kernels} wants for itself, at a multiple of 64. */
export const KERNEL_SCRATCH_BYTES = 2 ** 18

/** Where the elements of one update lie: byte offsets, multiples of 4, into the kernels' memory. */
export interface UpdateElements {
  /** Weights before. */
  readonly from: number
  /** Weights after; may be {@link from}, else overlaps nothing. */
  readonly to: number
  readonly gradient: number
  /** In the order of `slotsOf(spec)`; read and written. */
  readonly slots: readonly number[]
  /** In elements. */
  readonly length: number
}

/**
 * The arithmetic of parameter servers, over one memory by byte offsets. All arrays hold float32 unless said
 * otherwise; offsets are multiples of 4, lengths count elements and may be 0. Outputs overlap no input, except that
 * an output may be exactly one of the inputs where that is said.
 *
 * Every implementation gives the same bits (a NaN is a NaN, its payload is free): each operation is rounded on its
 * own, in an order that depends on nothing but the arguments.
 */
export interface Kernels {
  readonly name: 'plain' | 'simd'
  readonly memory: SharedMemory
  /**
   * Byte offset of {@link KERNEL_SCRATCH_BYTES} bytes: the first half is for callers to keep results in, the second
   * half is overwritten by any call.
   */
  readonly scratch: number

  /**
   * out = sum of inputs[r] * weights[r] / (sum of weights), over a fixed binary tree: neighbours first,
   * ((0 + 1) + (2 + 3)) + ((4 + 5) + …). A rank of weight 0 is not read and stands for nothing.
   *
   * @param inputs one offset for each rank
   * @returns false, with `out` as it was, when all weights are 0
   */
  reduce(out: number, inputs: readonly number[], weights: readonly number[], length: number): boolean

  /**
   * Sums of squares in float64, one for each {@link NORM_BLOCK_ELEMENTS} elements and one for the rest. Within a
   * block, element i goes to lane i mod 8 and the lanes are added as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)).
   *
   * @param out float64, a multiple of 8
   * @param values must begin at a block's border within its variable
   */
  sumSquares(out: number, values: number, length: number): void

  /** out = values * factor; `out` may be `values`. */
  scale(out: number, values: number, factor: number, length: number): void

  /** out = values held within [-limit, limit]; `limit` above 0; a NaN stays one; `out` may be `values`. */
  clip(out: number, values: number, limit: number, length: number): void

  /** out = values - (values * weightDecay) * learningRate; `out` may be `values`. */
  decay(out: number, values: number, weightDecay: number, learningRate: number, length: number): void

  /** One step of an optimizer, without clipping and weight decay: those come before. */
  update(call: KernelCall, elements: UpdateElements): void
}
