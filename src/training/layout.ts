import { TroupeError } from '../errors.js'
import { NORM_BLOCK_ELEMENTS } from './kernels/kernels.js'
import { elementCount, type VariableSpec } from './model-spec.js'

/** A run of consecutive elements of one variable (row-major) that lies on one shard. */
export interface Slice {
  /** Index of the variable in the job's order. */
  readonly variable: number
  /** First element within the variable; a multiple of the block of a norm. */
  readonly offset: number
  /** In elements. */
  readonly length: number
  readonly shard: number
}

/** A border this close to a variable's edge moves onto the edge, so that small variables stay whole... */
export const MAX_SNAP_ELEMENTS = 1024

/** ...unless that costs more of a shard's mean size than this share. */
export const MAX_SNAP_SHARE = 0.04

/** What one version of a shard's weights may take: all that belongs to a shard lies in one memory of 4 GiB. */
export const MAX_SHARD_BYTES = 2 ** 30

/**
 * Places variables on shards: a pure function of the variables and of what lies there already.
 *
 * State goes to shard 0, which reduces it. The trainable elements, laid end to end in program order, are cut into
 * one run for each shard: large variables are split, small ones grouped, so that all shards hold about as much as
 * each other. Shards of a tiny model may stay empty. A variable is split at multiples of
 * {@link NORM_BLOCK_ELEMENTS} only, so that the sums of a norm do not depend on the layout.
 *
 * @param placed elements that lie on each shard already
 * @returns by variable, then offset: every element of every variable is in exactly one slice
 * @throws ERR_LAYOUT when a shard would hold more than {@link MAX_SHARD_BYTES}
 */
export function planLayout(
  variables: readonly VariableSpec[],
  shards: number,
  placed: readonly number[] = new Array<number>(shards).fill(0),
): Slice[] {
  const sizes = variables.map(variable => elementCount(variable.shape))
  const used = [...placed]
  for (const [i, size] of sizes.entries()) if (!variables[i]!.trainable) used[0]! += size
  const borders = trainableBorders(
    sizes.filter((_, i) => variables[i]!.trainable),
    used,
  )
  const slices: Slice[] = []
  let position = 0
  for (const [variable, size] of sizes.entries()) {
    if (!variables[variable]!.trainable) {
      if (size > 0) slices.push({ variable, offset: 0, length: size, shard: 0 })
      continue
    }
    for (let shard = 0; shard < shards; shard++) {
      const from = Math.max(position, borders[shard]!)
      const to = Math.min(position + size, borders[shard + 1]!)
      if (to <= from) continue
      slices.push({ variable, offset: from - position, length: to - from, shard })
      used[shard]! += to - from
    }
    position += size
  }
  for (const [shard, elements] of used.entries()) {
    if (elements * 4 <= MAX_SHARD_BYTES) continue
    throw new TroupeError(
      'ERR_LAYOUT',
      `parameter server ${shard} of ${shards} would hold ${elements * 4} bytes of weights; ` +
        `the limit is ${MAX_SHARD_BYTES}`,
      { data: { shard, shards, bytes: elements * 4, maxBytes: MAX_SHARD_BYTES } },
    )
  }
  return slices
}

/** Elements of slices on each shard. */
export function shardElements(slices: readonly Slice[], shards: number): number[] {
  const elements = new Array<number>(shards).fill(0)
  for (const { shard, length } of slices) elements[shard]! += length
  return elements
}

/** The largest shard over the mean; 1 is perfect balance. */
export function imbalance(elements: readonly number[]): number {
  const mean = sum(elements) / elements.length
  return mean === 0 ? 1 : Math.max(...elements) / mean
}

/**
 * Cuts of the trainable elements laid end to end: shard s holds [borders[s], borders[s + 1]).
 *
 * @param used elements on each shard before
 */
function trainableBorders(sizes: readonly number[], used: readonly number[]): number[] {
  const edges = [0]
  let trainable = 0
  for (const size of sizes) {
    trainable += size
    edges.push(trainable)
  }
  const level = waterLevel(used, trainable)
  const snap = Math.min(
    MAX_SNAP_ELEMENTS,
    Math.floor(((sum(used) + trainable) / used.length) * MAX_SNAP_SHARE),
  )
  const borders = [0]
  let last = 0
  let ideal = 0
  for (const before of used.slice(0, -1)) {
    ideal += Math.max(0, level - before)
    const edge = nearest(edges, ideal)
    const border = Math.abs(edge - ideal) <= snap ? edge : blockWithin(edges, ideal)
    last = Math.max(last, border)
    borders.push(last)
  }
  return [...borders, trainable]
}

/** How high all shards stand once `more` has been poured onto what they hold; those above it get nothing. */
function waterLevel(used: readonly number[], more: number): number {
  const heights = [...used].sort((a, b) => a - b)
  let poured = 0
  const highest = Math.max(...heights)
  for (let shards = 1; shards < heights.length; shards++) {
    const next = poured + (heights[shards]! - heights[shards - 1]!) * shards
    if (next >= more) return heights[shards - 1]! + (more - poured) / shards
    poured = next
  }
  return highest + (more - poured) / heights.length
}

/** The border of a block, within the variable that the cut is in, that is nearest to the cut; or the variable's end. */
function blockWithin(edges: readonly number[], cut: number): number {
  const at = Math.max(
    0,
    edges.findLastIndex(edge => edge <= cut),
  )
  const start = edges[at]!
  const end = edges[at + 1] ?? start
  return Math.min(end, start + Math.round((cut - start) / NORM_BLOCK_ELEMENTS) * NORM_BLOCK_ELEMENTS)
}

function nearest(edges: readonly number[], position: number): number {
  let best = edges[0]!
  for (const edge of edges) if (Math.abs(edge - position) < Math.abs(best - position)) best = edge
  return best
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
