/**
 * The element types a tensor can have: all of TensorFlow.js and the narrow and wide ones that files and
 * other engines bring. The names are wire tags: they never change.
 */
export const DTYPES = [
  'float32',
  'int32',
  'bool',
  'complex64',
  'string',
  'float16',
  'bfloat16',
  'int8',
  'uint8',
  'int64',
  'float64',
] as const

export type DType = (typeof DTYPES)[number]

/** The typed array through which the elements of each dtype are read and written. */
export interface DTypeViews {
  float32: Float32Array
  int32: Int32Array
  /** 0 or 1, a byte each. */
  bool: Uint8Array
  /** Real and imaginary part in turn: two numbers an element. */
  complex64: Float32Array
  /** Raw: each element is its length as a little-endian uint32, then that many bytes of UTF-8. */
  string: Uint8Array
  /** The raw bits: JavaScript has no arithmetic for them. */
  float16: Uint16Array
  /** The raw bits: JavaScript has no arithmetic for them. */
  bfloat16: Uint16Array
  int8: Int8Array
  uint8: Uint8Array
  int64: BigInt64Array
  float64: Float64Array
}

export interface ViewConstructor<V> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): V
}

/** What each dtype is made of. `bytes` is the size of an element; 0 where it varies (string). */
export const LAYOUTS: {
  readonly [D in DType]: { readonly bytes: number; readonly view: ViewConstructor<DTypeViews[D]> }
} = {
  float32: { bytes: 4, view: Float32Array },
  int32: { bytes: 4, view: Int32Array },
  bool: { bytes: 1, view: Uint8Array },
  complex64: { bytes: 8, view: Float32Array },
  string: { bytes: 0, view: Uint8Array },
  float16: { bytes: 2, view: Uint16Array },
  bfloat16: { bytes: 2, view: Uint16Array },
  int8: { bytes: 1, view: Int8Array },
  uint8: { bytes: 1, view: Uint8Array },
  int64: { bytes: 8, view: BigInt64Array },
  float64: { bytes: 8, view: Float64Array },
}

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(LAYOUTS, value)
}
