import { TroupeError } from '../errors.js'
import { elementCount, type VariableSpec } from './model-spec.js'

/** A run of consecutive elements of one variable (row-major) that lies on one shard. */
export interface Slice {
  /** Index of the variable in program order. */
  readonly variable: number
  /** First element within the variable. */
  readonly offset: number
  /** In elements. */
  readonly length: number
  readonly shard: number
  /** First element within the shard's buffers; a multiple of {@link SLICE_ALIGNMENT}. */
  readonly at: number
}

/** Which elements of which variable lie on which shard. */
export interface Layout {
  readonly shards: number
  /** By variable, then offset: every element of every variable is in exactly one. */
  readonly slices: readonly Slice[]
  /** Elements in each shard's buffers, gaps between slices included. */
  readonly shardElements: readonly number[]
  /** Largest shard over the mean, in bytes of the model; 1 is perfect balance. */
  readonly imbalance: number
}

/** Slices begin at multiples of this many elements: 16 bytes, one SIMD vector. */
export const SLICE_ALIGNMENT = 4

/** A border this close to a variable's edge moves onto the edge, so that small variables stay whole... */
export const MAX_SNAP_ELEMENTS = 1024

/** ...unless that costs more of a shard's mean size than this share. */
export const MAX_SNAP_SHARE = 0.04

/** What one buffer of a shard may hold: kernels address their memory with 32 bits, all buffers of a shard within it. */
export const MAX_SHARD_BYTES = 2 ** 30

/**
 * Places a model on shards: a pure function of the variables and the number of shards.
 *
 * State goes to shard 0, which reduces it. The trainable elements, laid end to end in program order, are cut into
 * one run for each shard: large variables are split, small ones grouped. Shards of a tiny model may stay empty.
 *
 * @throws ERR_LAYOUT when a shard would be larger than {@link MAX_SHARD_BYTES}
 */
export function planLayout(variables: readonly VariableSpec[], shards: number): Layout {
  const sizes = variables.map(variable => elementCount(variable.shape))
  const stateElements = sum(sizes.filter((_, i) => !variables[i]!.trainable))
  const trainable = sum(sizes) - stateElements
  const borders = trainableBorders(variables, sizes, trainable, stateElements, shards)

  const used = new Array<number>(shards).fill(0)
  const slices: Slice[] = []
  const place = (variable: number, offset: number, length: number, shard: number): void => {
    slices.push({ variable, offset, length, shard, at: used[shard]! })
    used[shard] = alignUp(used[shard]! + length)
  }
  let position = 0
  for (const [variable, size] of sizes.entries()) {
    if (!variables[variable]!.trainable) {
      if (size > 0) place(variable, 0, size, 0)
      continue
    }
    for (let shard = 0; shard < shards; shard++) {
      const from = Math.max(position, borders[shard]!)
      const to = Math.min(position + size, borders[shard + 1]!)
      if (to > from) place(variable, from - position, to - from, shard)
    }
    position += size
  }
  for (const [shard, elements] of used.entries()) {
    if (elements * 4 > MAX_SHARD_BYTES) {
      throw new TroupeError(
        'ERR_LAYOUT',
        `parameter server ${shard} of ${shards} would hold ${elements * 4} bytes of weights; ` +
          `the limit is ${MAX_SHARD_BYTES}`,
        { data: { shard, shards, bytes: elements * 4, maxBytes: MAX_SHARD_BYTES } },
      )
    }
  }
  const mean = sum(sizes) / shards
  const largest = Math.max(
    ...used.map((_, shard) => sum(slices.filter(s => s.shard === shard).map(s => s.length))),
  )
  return { shards, slices, shardElements: used, imbalance: mean === 0 ? 1 : largest / mean }
}

/** Cuts of the trainable elements laid end to end: shard s holds [borders[s], borders[s + 1]). */
function trainableBorders(
  variables: readonly VariableSpec[],
  sizes: readonly number[],
  trainable: number,
  stateElements: number,
  shards: number,
): number[] {
  const edges = [0]
  for (const [i, size] of sizes.entries()) if (variables[i]!.trainable) edges.push(edges.at(-1)! + size)
  // Shard 0 takes the state first and is filled up to the mean; if state alone exceeds it, the others share the rest.
  const mean = (trainable + stateElements) / shards
  const first = shards === 1 ? trainable : Math.max(0, mean - stateElements)
  const share = shards === 1 ? 0 : (trainable - first) / (shards - 1)
  const snap = Math.min(MAX_SNAP_ELEMENTS, Math.floor(mean * MAX_SNAP_SHARE))
  const borders = [0]
  for (let shard = 1; shard < shards; shard++) {
    const ideal = Math.min(trainable, alignUp(Math.round(first + share * (shard - 1))))
    const edge = nearest(edges, ideal)
    const border = Math.abs(edge - ideal) <= snap ? edge : alignWithin(edges, ideal)
    borders.push(Math.max(borders[shard - 1]!, border))
  }
  return [...borders, trainable]
}

/** Moves a cut so that the slice before it, within its variable, is a whole number of vectors long. */
function alignWithin(edges: readonly number[], cut: number): number {
  const start = edges.findLast(edge => edge <= cut) ?? 0
  return start + Math.floor((cut - start) / SLICE_ALIGNMENT) * SLICE_ALIGNMENT
}

function nearest(edges: readonly number[], position: number): number {
  let best = edges[0]!
  for (const edge of edges) if (Math.abs(edge - position) < Math.abs(best - position)) best = edge
  return best
}

function alignUp(elements: number): number {
  return Math.ceil(elements / SLICE_ALIGNMENT) * SLICE_ALIGNMENT
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Copies a variable's elements into the buffer of the shards' slices that `shard` has of it. */
export function scatter(
  layout: Layout,
  shard: number,
  values: readonly ArrayLike<number>[],
  into: Float32Array,
): void {
  for (const slice of layout.slices) {
    if (slice.shard !== shard) continue
    const source = values[slice.variable]!
    for (let i = 0; i < slice.length; i++) into[slice.at + i] = source[slice.offset + i]!
  }
}

/** The inverse of {@link scatter} over all shards: one array for each variable, in program order. */
export function assemble(
  layout: Layout,
  variables: readonly VariableSpec[],
  buffers: readonly Float32Array[],
): Float32Array[] {
  const values = variables.map(variable => new Float32Array(elementCount(variable.shape)))
  for (const { variable, offset, length, shard, at } of layout.slices) {
    values[variable]!.set(buffers[shard]!.subarray(at, at + length), offset)
  }
  return values
}
