import { TroupeError } from '../errors.js'

/** Parts of shared buffers begin at multiples of this: a cache line, so that no two writers share one. */
export const CACHE_LINE_BYTES = 64

export const WORDS_PER_LINE = CACHE_LINE_BYTES / Int32Array.BYTES_PER_ELEMENT

/** Rounds a number of bytes up to whole cache lines. */
export function wholeLines(bytes: number): number {
  return Math.ceil(bytes / CACHE_LINE_BYTES) * CACHE_LINE_BYTES
}

/** Hands out the parts of a buffer one after the other, each on its own cache lines. */
export class BufferPlan {
  #bytes = 0

  /** Byte offset of a new part. */
  take(bytes: number): number {
    const offset = this.#bytes
    this.#bytes += wholeLines(bytes)
    return offset
  }

  get bytes(): number {
    return this.#bytes
  }
}

/** @throws ERR_INTERNAL unless the buffer's first word is the magic number of its kind. */
export function checkMagic(words: Int32Array, magic: number, kind: string): void {
  if (words[0] === magic) return
  throw new TroupeError('ERR_INTERNAL', `a buffer of ${words.byteLength} bytes is not a ${kind}`)
}
