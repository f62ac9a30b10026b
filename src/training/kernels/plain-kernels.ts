import { TreeReduction } from '../reduction.js'
import type { KernelCall } from '../update-rule.js'
import { NORM_BLOCK_ELEMENTS, type Kernels, type UpdateElements } from './kernels.js'
import { PLAIN_UPDATES } from './plain-updates.js'
import type { SharedMemory } from './web-assembly.js'

const f = Math.fround

/** Partial sums within a block of squares. */
const LANES = 8

/** The kernels in plain TypeScript: the reference, and what runs where there is no SIMD. */
export class PlainKernels implements Kernels {
  readonly name = 'plain'
  readonly memory: SharedMemory
  readonly scratch: number
  readonly #reductions = new Map<number, TreeReduction>()
  readonly #lanes = new Float64Array(LANES)

  constructor(memory: SharedMemory, scratch: number) {
    this.memory = memory
    this.scratch = scratch
  }

  reduce(out: number, inputs: readonly number[], weights: readonly number[], length: number): boolean {
    let reduction = this.#reductions.get(inputs.length)
    if (reduction === undefined) {
      reduction = new TreeReduction(inputs.length)
      this.#reductions.set(inputs.length, reduction)
    }
    const views = inputs.map(input => this.#view(input, length))
    return reduction.reduce(this.#view(out, length), views, weights)
  }

  sumSquares(out: number, values: number, length: number): void {
    const blocks = Math.ceil(length / NORM_BLOCK_ELEMENTS)
    const sums = new Float64Array(this.memory.buffer, out, blocks)
    const from = this.#view(values, length)
    const lanes = this.#lanes
    for (let block = 0; block < blocks; block++) {
      const begin = block * NORM_BLOCK_ELEMENTS
      const end = Math.min(length, begin + NORM_BLOCK_ELEMENTS)
      lanes.fill(0)
      for (let i = begin; i < end; i++) {
        const lane = (i - begin) % LANES
        lanes[lane] = lanes[lane]! + from[i]! * from[i]!
      }
      const [a, b, c, d, e, g, h, k] = lanes as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ]
      sums[block] = a + b + (c + d) + (e + g + (h + k))
    }
  }

  scale(out: number, values: number, factor: number, length: number): void {
    const to = this.#view(out, length)
    const from = this.#view(values, length)
    const by = f(factor)
    for (let i = 0; i < length; i++) to[i] = f(from[i]! * by)
  }

  clip(out: number, values: number, limit: number, length: number): void {
    const to = this.#view(out, length)
    const from = this.#view(values, length)
    const most = f(limit)
    for (let i = 0; i < length; i++) to[i] = Math.min(Math.max(from[i]!, -most), most)
  }

  decay(out: number, values: number, weightDecay: number, learningRate: number, length: number): void {
    const to = this.#view(out, length)
    const from = this.#view(values, length)
    const share = f(weightDecay)
    const rate = f(learningRate)
    for (let i = 0; i < length; i++) to[i] = f(from[i]! - f(f(from[i]! * share) * rate))
  }

  update({ kernel, scalars }: KernelCall, { from, to, gradient, slots, length }: UpdateElements): void {
    const views = slots.map(slot => this.#view(slot, length))
    const run = PLAIN_UPDATES[kernel]
    run(this.#view(from, length), this.#view(to, length), this.#view(gradient, length), views, scalars)
  }

  /** Made anew each time: a memory that has grown has another buffer. */
  #view(offset: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, offset, length)
  }
}
