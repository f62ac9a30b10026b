/**
 * How values travel that msgpack lacks: as a map with one key, `$` and a name from this list. A user's own map
 * that looks so travels as `$object`. Extension types are not used: they would tie the frame to one library.
 */
export const TAGS = {
  undefined: 'undefined',
  /** -0, as the string '-0': msgpackr writes it as 0. */
  number: 'number',
  /** An integer beyond 64 bits, as a hexadecimal string. */
  bigint: 'bigint',
  /** A string that UTF-8 cannot carry, as its UTF-16 code units. */
  utf16: 'utf16',
  /** A plain object whose keys would be taken for something else: keys and values in turn. */
  object: 'object',
  /** Keys and values in turn. */
  map: 'map',
  set: 'set',
  /** Milliseconds since the epoch, NaN for an invalid one. */
  date: 'date',
  /** `ErrorInfo`. */
  error: 'error',
  /** The index of its descriptor. */
  tensor: 'tensor',
  /** Memory shared between threads, by its place in a list beside the frame: see `SharedReference`. */
  shared: 'shared',
} as const

type BinaryClass = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => ArrayBufferView

/** Binaries that travel in the body, each as `$` and its name with the index of its descriptor. */
export const BINARIES: ReadonlyMap<string, BinaryClass & { readonly BYTES_PER_ELEMENT: number }> = new Map(
  [
    Uint8Array,
    Uint8ClampedArray,
    Int8Array,
    Uint16Array,
    Int16Array,
    Uint32Array,
    Int32Array,
    BigUint64Array,
    BigInt64Array,
    Float32Array,
    Float64Array,
  ].map(binaryClass => [binaryClass.name, binaryClass]),
)

export const BUFFER_TAG = 'Buffer'
export const ARRAY_BUFFER_TAG = 'ArrayBuffer'

const RESERVED: ReadonlySet<string> = new Set([
  ...Object.values(TAGS),
  ...BINARIES.keys(),
  BUFFER_TAG,
  ARRAY_BUFFER_TAG,
])

/** Is this tag the codec's own, so that hooks may not use it? */
export function isReservedTag(tag: string): boolean {
  return RESERVED.has(tag)
}
