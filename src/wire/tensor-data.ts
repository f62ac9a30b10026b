import { TroupeError } from '../errors.js'
import { isDType, LAYOUTS, type DType, type DTypeViews } from './dtype.js'
import { glimpse } from './glimpse.js'
import { decodeStrings, encodeStrings, stringBlockFlaw } from './string-block.js'

/** TensorFlow.js draws the line at 6; files and other engines go further. */
export const MAX_RANK = 32

/**
 * A tensor as a message carries it: dtype, shape, and the elements as little-endian bytes in row-major order.
 *
 * It never copies by itself. Between actors of one thread it travels by reference: whoever sends it either
 * gives it away with {@link move} (its own handle then refuses use) or keeps it and sends a {@link copy}.
 * One that came from another process is a view of the frame it came in, and keeps that frame in memory.
 */
export class TensorData<D extends DType = DType> {
  readonly dtype: D
  readonly shape: readonly number[]
  /** The name of the variable it is a value of, where there is one. */
  readonly name: string | undefined
  #bytes: Uint8Array | undefined

  /**
   * @param bytes exactly the elements; `byteOffset` must be a multiple of the element size. Not copied.
   * @throws TroupeError ERR_PAYLOAD if dtype, shape and bytes do not agree; its data names the field
   */
  constructor(dtype: D, shape: readonly number[], bytes: Uint8Array, name?: string) {
    const flaw = tensorFlaw(dtype, shape, bytes, name)
    if (flaw !== undefined) throw new TroupeError('ERR_PAYLOAD', `TensorData: ${flaw.what}`, { data: flaw })
    this.dtype = dtype
    this.shape = shape
    this.name = name
    this.#bytes = bytes
  }

  /** From a typed array of the dtype's kind; shares its memory. The shape defaults to one dimension. */
  static of<D extends DType>(dtype: D, values: DTypeViews[D], shape?: readonly number[]): TensorData<D> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    return new TensorData(dtype, shape ?? [dtype === 'complex64' ? values.length / 2 : values.length], bytes)
  }

  /** A tensor of strings, encoded as UTF-8. The shape defaults to one dimension. */
  static ofStrings(values: readonly string[], shape?: readonly number[]): TensorData<'string'> {
    return new TensorData('string', shape ?? [values.length], encodeStrings(values))
  }

  /** From bytes at any offset: takes its own copy of them. */
  static copyOf<D extends DType>(dtype: D, shape: readonly number[], bytes: Uint8Array): TensorData<D> {
    return new TensorData(dtype, shape, ownCopy(bytes))
  }

  /** @throws TroupeError ERR_PAYLOAD if it was moved */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) {
      throw new TroupeError(
        'ERR_PAYLOAD',
        `TensorData ${this.dtype} [${this.shape.join(', ')}] was used after move()`,
      )
    }
    return this.#bytes
  }

  get moved(): boolean {
    return this.#bytes === undefined
  }

  /** How many elements: the product of the shape; 1 for a scalar. */
  get size(): number {
    return this.shape.reduce((product, dimension) => product * dimension, 1)
  }

  /** The elements as a typed array on the same memory. See {@link DTypeViews} for what each dtype gives. */
  view(): DTypeViews[D] {
    const { bytes } = this
    const { view: View } = LAYOUTS[this.dtype]
    return new View(bytes.buffer, bytes.byteOffset, bytes.byteLength / View.BYTES_PER_ELEMENT)
  }

  /** The elements of a string tensor. Bytes that are not UTF-8 become U+FFFD. */
  strings(this: TensorData<'string'>): string[] {
    return decodeStrings(this.bytes)
  }

  /** The same tensor in memory of its own. */
  copy(): TensorData<D> {
    return new TensorData(this.dtype, [...this.shape], ownCopy(this.bytes), this.name)
  }

  /** Gives the memory away: the returned tensor has it, and this one throws ERR_PAYLOAD on use. */
  move(): TensorData<D> {
    const taken = new TensorData(this.dtype, this.shape, this.bytes, this.name)
    this.#bytes = undefined
    return taken
  }
}

/** What is wrong with the parts of a tensor, and in which of them. */
export interface TensorFlaw extends Readonly<Record<string, unknown>> {
  readonly field: 'dtype' | 'shape' | 'byteLength' | 'offset' | 'name' | 'data'
  readonly what: string
}

/** Do the parts make a tensor? Whoever calls this may hold them from a stranger. */
export function tensorFlaw(
  dtype: unknown,
  shape: unknown,
  bytes: Uint8Array,
  name: unknown,
): TensorFlaw | undefined {
  if (!isDType(dtype)) return { field: 'dtype', what: `unknown dtype ${glimpse(dtype)}` }
  if (name !== undefined && typeof name !== 'string') {
    return { field: 'name', what: `name must be a string, got ${glimpse(name)}` }
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK) {
    return { field: 'shape', what: `shape must be up to ${MAX_RANK} dimensions, got ${glimpse(shape)}` }
  }
  // A zero makes the product zero whatever the others are, so each dimension is bounded by itself too.
  let size = 1
  for (const dimension of shape as unknown[]) {
    if (typeof dimension !== 'number' || !Number.isSafeInteger(dimension) || dimension < 0) {
      return { field: 'shape', what: `dimensions must be integers from 0 on, got ${glimpse(shape)}` }
    }
    size *= dimension
    if (!Number.isSafeInteger(size)) return { field: 'shape', what: `shape ${glimpse(shape)} overflows` }
  }
  if (dtype === 'string') {
    const what = stringBlockFlaw(bytes, size)
    return what === undefined ? undefined : { field: 'data', what }
  }
  const { bytes: elementBytes, view } = LAYOUTS[dtype]
  if (size * elementBytes !== bytes.byteLength) {
    const expected = size * elementBytes
    return {
      field: 'byteLength',
      what: `${dtype} ${glimpse(shape)} takes ${expected} bytes, got ${bytes.byteLength}`,
    }
  }
  if (bytes.byteOffset % view.BYTES_PER_ELEMENT !== 0) {
    const what = `${dtype} elements must start at a multiple of ${view.BYTES_PER_ELEMENT} bytes, got offset ${bytes.byteOffset}; use TensorData.copyOf`
    return { field: 'offset', what }
  }
  return undefined
}

/** Not `slice`: a Buffer's shares memory. */
function ownCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.byteLength)
  copy.set(bytes)
  return copy
}
