import { clipFactor, normClipping } from './clipping.js'
import { gradientNorms, normBlocks, type BlockSums, type GradientNorms } from './gradient-norm.js'
import { kernels } from './kernels/choose-kernels.js'
import { KERNEL_SCRATCH_BYTES, NORM_BLOCK_ELEMENTS, type Kernels } from './kernels/kernels.js'
import { reduceAndUpdate, scaleAndUpdate } from './kernels/slice-update.js'
import { elementCount } from './model-spec.js'
import { updateStep } from './optimizer.js'
import type { HeldSlice, PartShare, PartSlice, ShardModel } from './shard-model.js'

/** What goes into an update: of each rank that takes part a block of values, and what it weighs. */
export interface UpdatePushes {
  /** Byte offsets; one that weighs 0 is not read. */
  readonly blocks: readonly number[]
  readonly rows: readonly number[]
}

const NOTHING: ReadonlySet<HeldSlice> = new Set()

/** The arithmetic of one shard: makes the next version of its slices from the newest one and what ranks pushed. */
export class ShardUpdate {
  readonly #model: ShardModel
  readonly #kernels: Kernels
  /** Updates made; each optimizer counts its own. */
  readonly #iterations: Map<string, number>
  /** Of each part that clips by a norm: where its reduced gradients wait for it. */
  readonly #means = new Map<PartShare, number>()
  /** Where sums of squares are written. */
  #sums: { readonly offset: number; readonly blocks: number } | undefined

  constructor(model: ShardModel, iterations: Readonly<Record<string, number>> = {}) {
    this.#model = model
    const { memory } = model
    this.#kernels = kernels(memory.memory, memory.allocate(KERNEL_SCRATCH_BYTES))
    this.#iterations = new Map(Object.entries(iterations))
  }

  get iterations(): Record<string, number> {
    return Object.fromEntries(this.#iterations)
  }

  /** Whether the update has to wait for the norms of gradients, which all shards together know. */
  needsNorms({ part }: PartShare, { rows }: UpdatePushes): boolean {
    return normClipping(part.spec.optimizer).kind !== 'none' && rows.some(weight => weight > 0)
  }

  /**
   * Reduces the gradients of a part that needs norms, and sums their squares. Until {@link apply}, which needs the
   * reduced ones, no other call may be for the same part, unless both take but one rank's pushes.
   */
  squares(share: PartShare, pushes: UpdatePushes): BlockSums[] {
    const gradient = this.#reduced(share, pushes)
    return share.slices
      .filter(({ trainable }) => trainable)
      .map(({ held: { slice }, variable, at }) => {
        const blocks = normBlocks(slice.length)
        const offset = this.#sumsFor(blocks)
        this.#kernels.sumSquares(offset, gradient + at, slice.length)
        const sums = this.#model.memory.float64(offset, blocks).slice()
        return { variable, block: slice.offset / NORM_BLOCK_ELEMENTS, sums }
      })
  }

  /**
   * Makes version + 1 of everything; if nothing weighs anything, with the same values.
   *
   * @param sums of all shards, if the part needs norms
   */
  apply(share: PartShare, version: number, pushes: UpdatePushes, sums?: readonly BlockSums[]): void {
    if (!pushes.rows.some(weight => weight > 0)) {
      this.#model.turn(version, NOTHING)
      return
    }
    const { optimizer } = share.part.spec
    const iteration = (this.#iterations.get(optimizer.id) ?? 0) + 1
    this.#iterations.set(optimizer.id, iteration)
    const step = updateStep(optimizer, iteration)
    const norms = sums === undefined ? undefined : gradientNorms(gradientSizes(share), sums)
    for (const slice of share.slices) {
      if (!slice.trainable) this.#updateState(slice, version, pushes)
      else {
        const { held, at, slots, variable } = slice
        const elements = { ...this.#sides(held, version), slots, length: held.slice.length }
        if (norms === undefined) {
          const inputs = pushes.blocks.map(block => block + at)
          reduceAndUpdate(this.#kernels, step, { inputs, weights: pushes.rows }, elements)
        } else {
          const gradient = this.#gradient(share, pushes) + at
          scaleAndUpdate(this.#kernels, step, gradient, factorOf(share, norms, variable), elements)
        }
      }
    }
    this.#model.turn(version, share.held)
  }

  /** The mean, except that a value on which all agree stays as it is, to the bit: nothing drifts by rounding. */
  #updateState({ held, at }: PartSlice, version: number, { blocks, rows }: UpdatePushes): void {
    const { length } = held.slice
    const { to } = this.#sides(held, version)
    const inputs = blocks.map(block => block + at)
    this.#kernels.reduce(to, inputs, rows, length)
    const values = this.#model.memory.float32(to, length)
    const [first, ...others] = inputs
      .filter((_, rank) => rows[rank]! > 0)
      .map(input => this.#model.memory.float32(input, length))
    for (let i = 0; i < length; i++) {
      const value = first![i]!
      if (others.every(other => Object.is(other[i], value))) values[i] = value
    }
  }

  #sides(held: HeldSlice, version: number): { from: number; to: number } {
    const side = this.#model.side(held, version)
    return { from: held.weights[side], to: held.weights[side === 0 ? 1 : 0] }
  }

  /** Where the reduced gradients of a part lie: a single rank's where it pushed them. */
  #gradient(share: PartShare, { blocks, rows }: UpdatePushes): number {
    const weighted = blocks.filter((_, rank) => rows[rank]! > 0)
    if (weighted.length === 1) return weighted[0]!
    let mean = this.#means.get(share)
    if (mean === undefined) {
      mean = this.#model.memory.allocate(share.blockBytes)
      this.#means.set(share, mean)
    }
    return mean
  }

  #reduced(share: PartShare, pushes: UpdatePushes): number {
    const gradient = this.#gradient(share, pushes)
    if (pushes.blocks.includes(gradient)) return gradient
    for (const { held, at, trainable } of share.slices) {
      if (!trainable) continue
      const inputs = pushes.blocks.map(block => block + at)
      this.#kernels.reduce(gradient + at, inputs, pushes.rows, held.slice.length)
    }
    return gradient
  }

  #sumsFor(blocks: number): number {
    if (this.#sums === undefined || this.#sums.blocks < blocks) {
      const { memory } = this.#model
      if (this.#sums !== undefined) memory.free(this.#sums.offset)
      this.#sums = { offset: memory.allocate(blocks * Float64Array.BYTES_PER_ELEMENT), blocks }
    }
    return this.#sums.offset
  }
}

function gradientSizes({ part }: PartShare): Map<number, number> {
  const sizes = new Map<number, number>()
  for (const [position, { shape }] of part.spec.variables.entries()) {
    if (part.variables[position]!.trainable) sizes.set(position, elementCount(shape))
  }
  return sizes
}

function factorOf({ part }: PartShare, norms: GradientNorms, variable: number): number {
  const clipping = normClipping(part.spec.optimizer)
  const norm = clipping.kind === 'variable' ? norms.byVariable.get(variable)! : norms.global
  return clipFactor(clipping, norm)
}
