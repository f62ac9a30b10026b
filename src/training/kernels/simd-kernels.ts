import type { KernelCall, UpdateKernel } from '../update-rule.js'
import type { Kernels, UpdateElements } from './kernels.js'
import { PlainKernels } from './plain-kernels.js'
import { SIMD_KERNELS } from './simd-binary.js'
import { compileWasm, instantiateWasm, type SharedMemory, type WasmModule } from './web-assembly.js'

/** Elements reduced at a time when partial sums need room: they stay in the first-level cache. */
const PARTIAL_ELEMENTS = 2048
const PARTIAL_BYTES = PARTIAL_ELEMENTS * 4

/** Where partial sums lie in the scratch; before it the caller may keep the gradient that is reduced into. */
const PARTIALS_AT = 2 ** 17

/** Offsets of from, to, gradient and up to three slots, the length, then the scalars. */
type WasmUpdate = (
  from: number,
  to: number,
  gradient: number,
  slot0: number,
  slot1: number,
  slot2: number,
  length: number,
  ...scalars: readonly number[]
) => void

/** The one update that has no SIMD form: a power of each element. */
type WasmUpdates = Readonly<Record<Exclude<UpdateKernel, 'ftrlPower'>, WasmUpdate>>

interface WasmExports extends WasmUpdates {
  add(out: number, a: number, b: number, length: number): void
  scale(out: number, a: number, weight: number, length: number): void
  weigh2(out: number, a: number, wa: number, b: number, wb: number, length: number): void
  weigh3(
    out: number,
    a: number,
    wa: number,
    b: number,
    wb: number,
    c: number,
    wc: number,
    length: number,
  ): void
  weigh4(
    out: number,
    a: number,
    wa: number,
    b: number,
    wb: number,
    c: number,
    wc: number,
    d: number,
    wd: number,
    length: number,
  ): void
  sumSquares(out: number, values: number, length: number): void
  clip(out: number, values: number, limit: number, length: number): void
  decay(out: number, values: number, weightDecay: number, learningRate: number, length: number): void
}

/** What is summed: one rank's values, or two sums. Ranks of weight 0 are in none. */
type Sum =
  | { readonly leaves: 1; readonly input: number; readonly weight: number }
  | { readonly leaves: number; readonly left: Sum; readonly right: Sum }

/** The module is the same for every memory; undefined where the engine lacks SIMD or threads. */
let compiled: { readonly module: WasmModule | undefined } | undefined

/** The kernels in WebAssembly with SIMD; compiled from `assembly/` beside it. */
export class SimdKernels implements Kernels {
  readonly name = 'simd'
  readonly memory: SharedMemory
  readonly scratch: number
  readonly #wasm: WasmExports
  readonly #plain: PlainKernels

  /** Undefined where the engine cannot run them. */
  static over(memory: SharedMemory, scratch: number): SimdKernels | undefined {
    compiled ??= { module: compileWasm(Buffer.from(SIMD_KERNELS, 'base64')) }
    return compiled.module === undefined ? undefined : new SimdKernels(compiled.module, memory, scratch)
  }

  private constructor(module: WasmModule, memory: SharedMemory, scratch: number) {
    this.memory = memory
    this.scratch = scratch
    this.#wasm = instantiateWasm(module, memory) as WasmExports
    this.#plain = new PlainKernels(memory, scratch)
  }

  reduce(out: number, inputs: readonly number[], weights: readonly number[], length: number): boolean {
    const sum = sumOf(inputs, weights)
    if (sum === undefined) return false
    if (this.#inOnePass(sum, out, 0, length)) return true
    for (let at = 0; at < length; at += PARTIAL_ELEMENTS) {
      this.#add(
        sum,
        out + at * 4,
        at * 4,
        Math.min(PARTIAL_ELEMENTS, length - at),
        this.scratch + PARTIALS_AT,
      )
    }
    return true
  }

  sumSquares(out: number, values: number, length: number): void {
    this.#wasm.sumSquares(out, values, length)
  }

  scale(out: number, values: number, factor: number, length: number): void {
    this.#wasm.scale(out, values, factor, length)
  }

  clip(out: number, values: number, limit: number, length: number): void {
    this.#wasm.clip(out, values, limit, length)
  }

  decay(out: number, values: number, weightDecay: number, learningRate: number, length: number): void {
    this.#wasm.decay(out, values, weightDecay, learningRate, length)
  }

  update(call: KernelCall, elements: UpdateElements): void {
    const { kernel, scalars } = call
    if (kernel === 'ftrlPower') return this.#plain.update(call, elements)
    const { from, to, gradient, slots, length } = elements
    const [slot0 = 0, slot1 = 0, slot2 = 0] = slots
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = scalars
    this.#wasm[kernel](from, to, gradient, slot0, slot1, slot2, length, a, b, c, d, e)
  }

  /** Sums elements from byte `at` of the inputs on into `out`; false if that takes more than one pass. */
  #inOnePass(sum: Sum, out: number, at: number, length: number): boolean {
    const wasm = this.#wasm
    if ('input' in sum) {
      wasm.scale(out, sum.input + at, sum.weight, length)
      return true
    }
    const { leaves, left, right } = sum
    if ('input' in left && 'input' in right) {
      wasm.weigh2(out, left.input + at, left.weight, right.input + at, right.weight, length)
      return true
    }
    if (leaves === 3) {
      // a + (b + c) is (b + c) + a
      const [pair, single] = 'input' in left ? [right, left] : [left, right]
      const [a, b] = leavesOf(pair)
      const [c] = leavesOf(single)
      wasm.weigh3(out, a!.input + at, a!.weight, b!.input + at, b!.weight, c!.input + at, c!.weight, length)
      return true
    }
    if (left.leaves !== 2 || right.leaves !== 2) return false
    const [a, b] = leavesOf(left)
    const [c, d] = leavesOf(right)
    wasm.weigh4(
      out,
      a!.input + at,
      a!.weight,
      b!.input + at,
      b!.weight,
      c!.input + at,
      c!.weight,
      d!.input + at,
      d!.weight,
      length,
    )
    return true
  }

  /** The same with partial sums from byte offset `partials` on, one for each level of the tree. */
  #add(sum: Sum, out: number, at: number, length: number, partials: number): void {
    if (this.#inOnePass(sum, out, at, length) || 'input' in sum) return
    this.#add(sum.left, out, at, length, partials)
    this.#add(sum.right, partials, at, length, partials + PARTIAL_BYTES)
    this.#wasm.add(out, out, partials, length)
  }
}

/** The fixed tree over the ranks that have weight; undefined if none has. */
function sumOf(inputs: readonly number[], weights: readonly number[]): Sum | undefined {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (total === 0) return undefined
  const node = (rank: number, width: number): Sum | undefined => {
    if (rank >= inputs.length) return undefined
    if (width === 1) {
      const weight = Math.fround(weights[rank]! / total)
      return weight === 0 ? undefined : { leaves: 1, input: inputs[rank]!, weight }
    }
    const left = node(rank, width / 2)
    const right = node(rank + width / 2, width / 2)
    if (left === undefined || right === undefined) return left ?? right
    return { leaves: left.leaves + right.leaves, left, right }
  }
  let width = 1
  while (width < inputs.length) width *= 2
  return node(0, width)
}

function leavesOf(sum: Sum): { readonly input: number; readonly weight: number }[] {
  return 'input' in sum ? [sum] : [...leavesOf(sum.left), ...leavesOf(sum.right)]
}
