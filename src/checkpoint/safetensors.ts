import { describe } from '../errors.js'
import { keyText, shapeElements, type SliceInfo } from './tensor-slice.js'

/**
 * The header of a shard's file, in the safetensors format: 8 bytes with the length N of the JSON (little-endian), N
 * bytes of JSON padded with spaces to a multiple of 8, then the values of all tensors end to end, without a gap, as
 * little-endian float32. Any reader of safetensors reads it: a tensor that is whole in this shard has its own shape
 * and is called `weights:dense/kernel`; a part of one is flat and called `weights:dense/kernel[128:256]`. Which
 * element of which variable that is stands in the metadata under `slices`, as JSON (the format allows strings only):
 * `[{ name, variable, kind, shape, offset, length }, …]`, where `shape` is the variable's.
 *
 * Source: https://github.com/huggingface/safetensors#format
 */
const LENGTH_BYTES = 8
const ALIGNMENT = 8
const ELEMENT_BYTES = 4
/** The format's own limit: longer headers are an attack. */
export const MAX_HEADER_BYTES = 100_000_000
const METADATA_FORMAT = 'troupe-shard'
const METADATA_VERSION = '1'

/** A slice and where its values begin in the file. */
export interface StoredSlice extends SliceInfo {
  readonly position: number
}

/** All bytes before the first tensor. Slices are stored in the order given. */
export function encodeShardHeader(slices: readonly SliceInfo[]): Uint8Array {
  const entries: Record<string, unknown> = {
    __metadata__: {
      format: METADATA_FORMAT,
      version: METADATA_VERSION,
      slices: JSON.stringify(
        slices.map(slice => {
          const { variable, kind, shape, offset, length } = slice
          return { name: tensorName(slice), variable, kind, shape, offset, length }
        }),
      ),
    },
  }
  let end = 0
  for (const slice of slices) {
    const begin = end
    end += slice.length * ELEMENT_BYTES
    entries[tensorName(slice)] = { dtype: 'F32', shape: storedShape(slice), data_offsets: [begin, end] }
  }
  const json = Buffer.from(JSON.stringify(entries), 'utf8')
  const padded = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT
  const bytes = Buffer.alloc(LENGTH_BYTES + padded, ' ')
  bytes.writeBigUInt64LE(BigInt(padded))
  json.copy(bytes, LENGTH_BYTES)
  return bytes
}

/**
 * Length of all that is before the first tensor, from the file's first 8 bytes.
 *
 * @returns undefined when no file of `fileBytes` can begin like that
 */
export function shardHeaderBytes(first: Uint8Array, fileBytes: number): number | undefined {
  if (first.byteLength < LENGTH_BYTES) return undefined
  const json = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true)
  const fits = json >= 2n && json <= BigInt(Math.min(MAX_HEADER_BYTES, fileBytes - LENGTH_BYTES))
  return fits ? LENGTH_BYTES + Number(json) : undefined
}

/**
 * Reads the header of a shard's file and checks it against the file's length, so that each slice can be read.
 *
 * @param header as many bytes as {@link shardHeaderBytes} said
 * @returns the slices, or what is wrong, for people
 */
export function decodeShardHeader(header: Uint8Array, fileBytes: number): StoredSlice[] | string {
  const json = Buffer.from(header.buffer, header.byteOffset, header.byteLength).subarray(LENGTH_BYTES)
  const entries = parseJson(json.toString('utf8'))
  if (!isRecord(entries)) return 'the header is not a JSON object'
  const metadata = entries['__metadata__']
  if (!isRecord(metadata) || metadata['format'] !== METADATA_FORMAT) return 'the header names no slices'
  if (metadata['version'] !== METADATA_VERSION) {
    return `the header has version ${describe(metadata['version'])}; this Troupe reads ${METADATA_VERSION}`
  }
  const slices = parseJson(String(metadata['slices']))
  if (!Array.isArray(slices)) return 'the slices in the header are not a list'
  const stored: StoredSlice[] = []
  let end = 0
  for (const slice of slices as unknown[]) {
    if (!isSlice(slice)) return `the header has a slice ${describe(slice)}`
    const begin = end
    end += slice.length * ELEMENT_BYTES
    const { name, variable, kind, shape, offset, length } = slice
    const found = Object.hasOwn(entries, name) ? JSON.stringify(entries[name]) : 'nothing'
    const expected = JSON.stringify({ dtype: 'F32', shape: storedShape(slice), data_offsets: [begin, end] })
    if (found !== expected) return `the header says of ${name} ${found} instead of ${expected}`
    stored.push({ variable, kind, shape, offset, length, position: header.byteLength + begin })
  }
  if (Object.keys(entries).length !== slices.length + 1) return 'the header has tensors that are no slices'
  const wanted = header.byteLength + end
  return wanted === fileBytes ? stored : `the tensors end at byte ${wanted} of ${fileBytes}`
}

/** The name under which a reader of safetensors finds a slice. */
export function tensorName(slice: SliceInfo): string {
  const name = keyText(slice)
  // A variable may be called as a part of another would be: then it gets the ending too, also when it is whole.
  if (isWhole(slice) && !/\[\d+:\d+\]$/.test(name)) return name
  return `${name}[${slice.offset}:${slice.offset + slice.length}]`
}

function storedShape(slice: SliceInfo): readonly number[] {
  return isWhole(slice) ? slice.shape : [slice.length]
}

function isWhole(slice: SliceInfo): boolean {
  return slice.length === shapeElements(slice.shape)
}

function isSlice(value: unknown): value is SliceInfo & { readonly name: string } {
  if (!isRecord(value)) return false
  const { name, variable, kind, shape, offset, length } = value
  return (
    typeof name === 'string' &&
    typeof variable === 'string' &&
    typeof kind === 'string' &&
    Array.isArray(shape) &&
    shape.every(isCount) &&
    isCount(offset) &&
    isCount(length) &&
    offset + length <= shapeElements(shape)
  )
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
