import { TroupeError } from '../errors.js'
import { MAX_PAGES, PAGE_BYTES, sharedMemory, type SharedMemory } from './kernels/web-assembly.js'
import { CACHE_LINE_BYTES, wholeLines } from './shared-layout.js'

/** Pages are asked for in groups of this many: growing makes a new buffer object, whose views are made anew. */
const GROW_PAGES = 16

/**
 * Blocks at least this large begin a few cache lines off: arrays that lie a multiple of 4 KiB apart, as those of one
 * size do, fight for the same lines of the cache when they are read side by side.
 */
const MIN_SKEWED_BYTES = 16_384

/** In cache lines; a prime number, so that many blocks in a row get different places in a page. */
const SKEW_LINES = 13
const LINES_PER_PAGE = 64

/** A block that is free. */
interface Gap {
  readonly offset: number
  readonly bytes: number
}

/**
 * All that one shard keeps, in one shared memory that kernels address with 32 bits: handed out in blocks by byte
 * offset. It grows as blocks are asked for, and takes pages from the machine when they are written first.
 */
export class ShardMemory {
  readonly memory: SharedMemory
  /** Offset → bytes, of what is handed out. */
  readonly #blocks = new Map<number, number>()
  /** By offset; no two touch each other. */
  #gaps: Gap[] = []
  /** Where no block was ever. */
  #end = 0
  #skews = 0

  constructor() {
    this.memory = sharedMemory(GROW_PAGES)
  }

  /** As large as the memory is now. One that was taken before it grew shows the same bytes, but fewer. */
  get buffer(): SharedArrayBuffer {
    return this.memory.buffer
  }

  /** Bytes handed out, rounding included. */
  get usedBytes(): number {
    let sum = 0
    for (const bytes of this.#blocks.values()) sum += bytes
    return sum
  }

  /**
   * A block of zeros on cache lines of its own.
   *
   * @returns its byte offset, a multiple of 64
   * @throws ERR_LAYOUT when the memory is full
   */
  allocate(bytes: number): number {
    const wanted = Math.max(CACHE_LINE_BYTES, wholeLines(bytes))
    const offset = this.#fromGap(wanted) ?? this.#fromEnd(wanted)
    this.#blocks.set(offset, wanted)
    return offset
  }

  /** Gives a block back; its bytes may be another's at once. */
  free(offset: number): void {
    const bytes = this.#blocks.get(offset)
    if (bytes === undefined) throw new TroupeError('ERR_INTERNAL', `no block begins at byte ${offset}`)
    this.#blocks.delete(offset)
    this.#addGap({ offset, bytes })
  }

  float32(offset: number, length: number): Float32Array {
    return new Float32Array(this.buffer, offset, length)
  }

  float64(offset: number, length: number): Float64Array {
    return new Float64Array(this.buffer, offset, length)
  }

  int32(offset: number, length: number): Int32Array {
    return new Int32Array(this.buffer, offset, length)
  }

  /** The tightest gap, so that large ones stay large. */
  #fromGap(bytes: number): number | undefined {
    let best: Gap | undefined
    for (const gap of this.#gaps) {
      if (gap.bytes >= bytes && (best === undefined || gap.bytes < best.bytes)) best = gap
    }
    if (best === undefined) return undefined
    const { offset } = best
    this.#gaps = this.#gaps.filter(gap => gap !== best)
    if (best.bytes > bytes) this.#addGap({ offset: offset + bytes, bytes: best.bytes - bytes })
    new Uint8Array(this.buffer, offset, bytes).fill(0)
    return offset
  }

  #fromEnd(bytes: number): number {
    let offset = this.#end
    if (bytes >= MIN_SKEWED_BYTES) {
      this.#skews = (this.#skews + SKEW_LINES) % LINES_PER_PAGE
      const skew = this.#skews * CACHE_LINE_BYTES
      const page = LINES_PER_PAGE * CACHE_LINE_BYTES
      offset += (skew - (offset % page) + page) % page
    }
    const end = offset + bytes
    this.#reach(end)
    if (offset > this.#end) this.#addGap({ offset: this.#end, bytes: offset - this.#end })
    this.#end = end
    return offset
  }

  #reach(end: number): void {
    const missing = Math.ceil((end - this.buffer.byteLength) / PAGE_BYTES)
    if (missing <= 0) return
    const pages = this.buffer.byteLength / PAGE_BYTES
    const grouped = Math.ceil(missing / GROW_PAGES) * GROW_PAGES
    try {
      this.memory.grow(Math.min(grouped, Math.max(missing, MAX_PAGES - pages)))
    } catch (cause) {
      throw new TroupeError(
        'ERR_LAYOUT',
        `a parameter server needs ${end} bytes for its share of the model; ` +
          `it has ${this.buffer.byteLength} and gets at most ${MAX_PAGES * PAGE_BYTES}`,
        { data: { bytes: end, maxBytes: MAX_PAGES * PAGE_BYTES }, cause },
      )
    }
  }

  #addGap(gap: Gap): void {
    const gaps = [...this.#gaps, gap].sort((a, b) => a.offset - b.offset)
    this.#gaps = []
    for (const next of gaps) {
      const last = this.#gaps.at(-1)
      if (last !== undefined && last.offset + last.bytes === next.offset) {
        this.#gaps[this.#gaps.length - 1] = { offset: last.offset, bytes: last.bytes + next.bytes }
      } else this.#gaps.push(next)
    }
  }
}
