import { TroupeError } from '../errors.js'

/** The element types of the format, by the third byte of its magic number. */
const DTYPES = {
  0x08: { name: 'uint8', bytes: 1 },
  0x09: { name: 'int8', bytes: 1 },
  0x0b: { name: 'int16', bytes: 2 },
  0x0c: { name: 'int32', bytes: 4 },
  0x0d: { name: 'float32', bytes: 4 },
  0x0e: { name: 'float64', bytes: 8 },
} as const

export type IdxDtype = (typeof DTYPES)[keyof typeof DTYPES]['name']

/** The format has a byte for the number of dimensions; nobody stores more than these. */
export const MAX_IDX_DIMENSIONS = 8

/** Largest body that is read: what one buffer of Node 20 holds with room to spare. */
export const MAX_IDX_BYTES = 2 ** 32

export type IdxValues = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array

export interface IdxFile {
  readonly dtype: IdxDtype
  /** The first is the number of rows. */
  readonly shape: readonly number[]
  /** Row by row, in this machine's byte order. */
  readonly values: IdxValues
}

/**
 * Reads a file in the IDX format: two zero bytes, a type, a number of dimensions, the dimensions as big-endian
 * 32-bit numbers, then the elements, big-endian, and not one byte more.
 *
 * @param bytes the whole file; one-byte elements are a view of it
 * @param file its name, for errors
 * @throws ERR_DATA_FORMAT, which names the field, the value got and the limit
 */
export function parseIdx(bytes: Uint8Array, file: string): IdxFile {
  if (bytes.length < 4)
    badFormat(file, 'length', `${bytes.length} bytes`, 'at least the 4 bytes of the magic number')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const magic = view.getUint32(0)
  if (magic >>> 16 !== 0) badFormat(file, 'magic', hex(magic), '0x0000TTDD: two zero bytes first')
  const code = (magic >>> 8) & 0xff
  if (!isDtype(code))
    badFormat(file, 'dtype', hex(code), `one of ${Object.keys(DTYPES).map(Number).map(hex).join(', ')}`)
  const dtype = DTYPES[code]
  const dimensions = magic & 0xff
  if (dimensions < 1 || dimensions > MAX_IDX_DIMENSIONS) {
    badFormat(file, 'dimensions', `${dimensions}`, `1 to ${MAX_IDX_DIMENSIONS}`)
  }
  const start = 4 + 4 * dimensions
  if (bytes.length < start) badFormat(file, 'length', `${bytes.length} bytes`, `${start} bytes of header`)
  const shape: number[] = []
  let count = 1
  for (let i = 0; i < dimensions; i++) {
    const size = view.getUint32(4 + 4 * i)
    if (size < 1) badFormat(file, `dimension ${i}`, `${size}`, 'at least 1')
    shape.push(size)
    count *= size
    if (count * dtype.bytes > MAX_IDX_BYTES)
      badFormat(file, `dimension ${i}`, `${size}`, `${MAX_IDX_BYTES} bytes in all`)
  }
  const expected = start + count * dtype.bytes
  if (bytes.length !== expected) {
    badFormat(
      file,
      'length',
      `${bytes.length} bytes`,
      `exactly ${expected}: ${shape.join(' x ')} of ${dtype.name}`,
    )
  }
  return { dtype: dtype.name, shape, values: read(view, start, count, dtype.name) }
}

function read(view: DataView, start: number, count: number, dtype: IdxDtype): IdxValues {
  switch (dtype) {
    case 'uint8':
      return new Uint8Array(view.buffer, view.byteOffset + start, count)
    case 'int8':
      return new Int8Array(view.buffer, view.byteOffset + start, count)
    case 'int16':
      return Int16Array.from({ length: count }, (_, i) => view.getInt16(start + 2 * i))
    case 'int32':
      return Int32Array.from({ length: count }, (_, i) => view.getInt32(start + 4 * i))
    case 'float32':
      return Float32Array.from({ length: count }, (_, i) => view.getFloat32(start + 4 * i))
    case 'float64':
      return Float64Array.from({ length: count }, (_, i) => view.getFloat64(start + 8 * i))
  }
}

function isDtype(code: number): code is keyof typeof DTYPES {
  return Object.hasOwn(DTYPES, code)
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(value > 0xff ? 8 : 2, '0')}`
}

/** Throws ERR_DATA_FORMAT: which field of which file is wrong, and how. */
export function badFormat(file: string, field: string, got: string, limit: string): never {
  throw new TroupeError('ERR_DATA_FORMAT', `${file}: ${field} is ${got}; the limit is ${limit}`, {
    data: { file, field, got, limit },
  })
}
