import { TroupeError } from '../errors.js'

/** Names what a checkpoint holds: a variable's weights, or one of the slots an optimizer keeps for it. */
export interface TensorKey {
  /** Name of the variable, as the program has it. */
  readonly variable: string
  /** `weights`, or `<optimizer id>/<slot>` such as `adam-0/m`. */
  readonly kind: string
}

/** A run of consecutive elements (row-major) of one tensor, as it lies in one shard's file. */
export interface SliceInfo extends TensorKey {
  /** Of the whole variable; empty for a scalar. */
  readonly shape: readonly number[]
  /** First element within the variable. */
  readonly offset: number
  /** In elements. */
  readonly length: number
}

/** A slice with its float32 values; they may lie in shared memory, and must not change while they are written. */
export interface TensorSlice extends Omit<SliceInfo, 'length'> {
  readonly values: Float32Array
}

/** Elements of a tensor of this shape. */
export function shapeElements(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1)
}

/** One string for each key, none for two. */
export function keyText(key: TensorKey): string {
  return `${key.kind}:${key.variable}`
}

/**
 * Checks that the slices of each tensor agree on its shape and hold each of its elements exactly once.
 *
 * @returns what is wrong, for people; undefined when nothing is
 */
export function coverageFault(slices: readonly SliceInfo[]): string | undefined {
  for (const [key, parts] of groupByKey(slices)) {
    const shape = parts[0]!.shape
    let next = 0
    for (const part of parts) {
      if (part.shape.join('x') !== shape.join('x')) {
        return `${key} has the shapes [${shape.join(', ')}] and [${part.shape.join(', ')}]`
      }
      if (part.offset > next) return `${key} lacks the elements ${next} to ${part.offset - 1}`
      if (part.offset < next) return `${key} has the elements from ${part.offset} twice`
      next += part.length
    }
    const elements = shapeElements(shape)
    if (next < elements) return `${key} lacks the elements ${next} to ${elements - 1}`
    if (next > elements) return `${key} has ${next} elements; its shape holds ${elements}`
  }
  return undefined
}

/** The slices of each tensor in the order of their elements. */
export function groupByKey<S extends SliceInfo>(slices: readonly S[]): Map<string, S[]> {
  const groups = new Map<string, S[]>()
  for (const slice of slices) {
    const key = keyText(slice)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [slice])
    else group.push(slice)
  }
  for (const group of groups.values()) group.sort((a, b) => a.offset - b.offset || a.length - b.length)
  return groups
}

/**
 * The slice without its values.
 *
 * @throws ERR_CHECKPOINT_SLICE when the interval does not lie within the shape
 */
export function sliceInfo({ variable, kind, shape, offset, values }: TensorSlice): SliceInfo {
  const info = { variable, kind, shape: [...shape], offset, length: values.length }
  const elements = shapeElements(shape)
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + values.length > elements) {
    throw new TroupeError(
      'ERR_CHECKPOINT_SLICE',
      `a slice of ${keyText(info)} has the elements ${offset} to ${offset + values.length - 1}; ` +
        `the tensor has ${elements}`,
      { data: { ...info, elements } },
    )
  }
  return info
}
