import { createHash } from 'node:crypto'
import { TroupeError } from '../errors.js'
import { joinPath } from './directory-names.js'
import type { CheckpointFiles } from './files.js'
import type { FileReceipt } from './manifest.js'
import { decodeShardHeader, shardHeaderBytes, type StoredSlice } from './safetensors.js'
import { keyText, type TensorKey } from './tensor-slice.js'

const ELEMENT_BYTES = 4
const LENGTH_BYTES = 8
const READ_BYTES = 1024 * 1024
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Elements `[offset, offset + into.length)` of a tensor, and where they go; that may be shared memory. */
export interface WantedInterval extends TensorKey {
  readonly offset: number
  readonly into: Float32Array
}

/**
 * Reads a file once from its beginning to its end and hands out its bytes as they come.
 *
 * @throws ERR_CHECKPOINT_DAMAGED when what was handed out is not what the manifest says
 */
export async function readVerified(
  files: CheckpointFiles,
  directory: string,
  { file, bytes, sha256 }: FileReceipt,
  take: (at: number, piece: Uint8Array) => void,
  firstBytes: number = READ_BYTES,
): Promise<void> {
  const path = joinPath(directory, file)
  const hash = createHash('sha256')
  for (let at = 0; at < bytes;) {
    const length = Math.min(at === 0 ? firstBytes : READ_BYTES, bytes - at)
    const piece = await files.read(path, at, length)
    if (piece.byteLength !== length) {
      throw damaged(path, `gave ${piece.byteLength} bytes from ${at} instead of ${length}`)
    }
    hash.update(piece)
    take(at, piece)
    at += length
  }
  const found = hash.digest('hex')
  if (found !== sha256) throw damaged(path, `has the SHA-256 ${found}; the manifest says ${sha256}`)
}

/**
 * Copies what is wanted out of one shard's file. Nothing of it may be used if this rejects.
 *
 * @throws ERR_CHECKPOINT_DAMAGED
 */
export async function loadShard(
  files: CheckpointFiles,
  directory: string,
  receipt: FileReceipt,
  wanted: readonly WantedInterval[],
): Promise<void> {
  const path = joinPath(directory, receipt.file)
  const begin = await files.read(path, 0, LENGTH_BYTES)
  const headerBytes = shardHeaderBytes(begin, receipt.bytes)
  if (headerBytes === undefined) throw damaged(path, 'does not begin as a safetensors file')
  let copies: readonly Copy[] = []
  const take = (at: number, piece: Uint8Array): void => {
    if (at > 0) copyOut(copies, at, piece)
    else {
      // From the bytes that are hashed, not from those that were looked at before.
      const slices = decodeShardHeader(piece, receipt.bytes)
      if (typeof slices === 'string') throw damaged(path, slices)
      copies = planCopies(slices, wanted)
    }
  }
  await readVerified(files, directory, receipt, take, headerBytes)
}

/** Bytes `[from, to)` of a file, and where they go. */
interface Copy {
  readonly from: number
  readonly to: number
  readonly into: Uint8Array
  /** Where in the file the first byte of `into` would lie. */
  readonly origin: number
}

/** What of a shard's slices is wanted. */
function planCopies(slices: readonly StoredSlice[], wanted: readonly WantedInterval[]): Copy[] {
  const byKey = new Map<string, WantedInterval[]>()
  for (const interval of wanted) {
    const key = keyText(interval)
    const others = byKey.get(key)
    if (others === undefined) byKey.set(key, [interval])
    else others.push(interval)
  }
  return slices.flatMap(slice =>
    (byKey.get(keyText(slice)) ?? []).flatMap(({ offset, into }) => {
      const first = Math.max(offset, slice.offset)
      const last = Math.min(offset + into.length, slice.offset + slice.length)
      if (last <= first) return []
      const positionOf = (element: number): number =>
        slice.position + (element - slice.offset) * ELEMENT_BYTES
      const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
      return [{ from: positionOf(first), to: positionOf(last), into: bytes, origin: positionOf(offset) }]
    }),
  )
}

/** Copies what lies in a piece of the file. Pieces may begin within an element. */
function copyOut(copies: readonly Copy[], at: number, piece: Uint8Array): void {
  for (const copy of copies) {
    const from = Math.max(at, copy.from)
    const to = Math.min(at + piece.byteLength, copy.to)
    if (to > from) copy.into.set(piece.subarray(from - at, to - at), from - copy.origin)
  }
}

/** What is stored is little-endian. */
export function toNativeOrder(values: Float32Array): void {
  if (!LITTLE_ENDIAN) Buffer.from(values.buffer, values.byteOffset, values.byteLength).swap32()
}

/** @throws ERR_CHECKPOINT_SLICE unless the slices hold all of the interval */
export function checkWanted(
  directory: string,
  slices: readonly StoredSlice[],
  { variable, kind, offset, into }: WantedInterval,
): void {
  const elements = slices.reduce((end, slice) => Math.max(end, slice.offset + slice.length), 0)
  if (offset >= 0 && offset + into.length <= elements) return
  const key = keyText({ variable, kind })
  throw new TroupeError(
    'ERR_CHECKPOINT_SLICE',
    `${directory} has ${elements} elements of ${key}; asked were ${into.length} from ${offset}`,
    { data: { variable, kind, offset, length: into.length, elements } },
  )
}

function damaged(path: string, what: string): TroupeError {
  return new TroupeError('ERR_CHECKPOINT_DAMAGED', `${path} ${what}`, { data: { path } })
}
