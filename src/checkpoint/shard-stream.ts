import { createHash } from 'node:crypto'
import type { FileSink } from './files.js'
import { encodeShardHeader } from './safetensors.js'
import { sliceInfo, type TensorSlice } from './tensor-slice.js'

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** How much of a shard is copied, hashed and written at a time. */
export const CHUNK_BYTES = 256 * 1024

/**
 * Writes a shard's file through two chunks of {@link CHUNK_BYTES}: one is filled and hashed while the other is
 * written. The values are copied into them, since neither hashes nor files take shared memory.
 *
 * @returns length and SHA-256 of what was handed to the sink; the sink is left open
 */
export async function streamShard(
  sink: FileSink,
  slices: readonly TensorSlice[],
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  const chunks = [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)]
  let turn = 0
  let bytes = 0
  let writing: Promise<void> = Promise.resolve()
  for (const filled of fill(slices, () => chunks[turn++ & 1]!)) {
    hash.update(filled)
    bytes += filled.byteLength
    await writing
    writing = sink.write(filled)
    // Observed by the next await; until then a failure must not count as unhandled.
    writing.catch(() => undefined)
  }
  await writing
  return { bytes, sha256: hash.digest('hex') }
}

/** Writes bytes that are there as a whole. */
export async function streamBytes(
  sink: FileSink,
  content: Uint8Array,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, content.byteLength))
  for (let at = 0; at < content.byteLength; at += CHUNK_BYTES) {
    const part = content.subarray(at, at + CHUNK_BYTES)
    const filled = chunk.subarray(0, part.byteLength)
    filled.set(part)
    hash.update(filled)
    await sink.write(filled)
  }
  return { bytes: content.byteLength, sha256: hash.digest('hex') }
}

/** The file's bytes, laid into one chunk after the other: header, then values. */
function* fill(slices: readonly TensorSlice[], nextChunk: () => Uint8Array): Generator<Uint8Array> {
  let chunk = nextChunk()
  let used = 0
  for (const { bytes, elements } of contents(slices)) {
    for (let at = 0; at < bytes.byteLength;) {
      const part = bytes.subarray(at, at + chunk.byteLength - used)
      chunk.set(part, used)
      if (elements && !LITTLE_ENDIAN) Buffer.from(chunk.buffer, used, part.byteLength).swap32()
      used += part.byteLength
      at += part.byteLength
      if (used < chunk.byteLength) continue
      yield chunk
      chunk = nextChunk()
      used = 0
    }
  }
  if (used > 0) yield chunk.subarray(0, used)
}

/** All lengths are multiples of 4, so no element is cut in two. */
function* contents(slices: readonly TensorSlice[]): Generator<{ bytes: Uint8Array; elements: boolean }> {
  yield { bytes: encodeShardHeader(slices.map(sliceInfo)), elements: false }
  for (const { values } of slices) {
    yield { bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength), elements: true }
  }
}
