import { createHash } from 'node:crypto'

/** Text is given to the hash in pieces of about this many characters: hashing each line alone costs ten times more. */
const CHUNK_CHARACTERS = 16 * 1024

/** Lines kept for people when a trace is not kept as a whole. */
export const TAIL_LINES = 200

/**
 * The canonical log of a run: one line an event, in the order they happened, each with its virtual time. Two runs of
 * one seed have the same lines; the hash says so without keeping them.
 */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #keep: boolean
  #chunk = ''
  #lines: string[] = []
  #count = 0
  #sha256: string | undefined
  /** The time of the last line, and its text: many lines share it. */
  #atMs = -1
  #at = ''

  /** `keep`: hold every line, not just the last {@link TAIL_LINES}. */
  constructor(keep = false) {
    this.#keep = keep
  }

  /** Lines so far. */
  get count(): number {
    return this.#count
  }

  /** All lines if they were kept, else the last ones. */
  get lines(): readonly string[] {
    return this.#keep ? this.#lines : this.#lines.slice(-TAIL_LINES)
  }

  /** `what` must not hold a line break, nor anything that differs between two runs of one seed. */
  add(atMs: number, what: string): void {
    if (atMs !== this.#atMs) {
      this.#atMs = atMs
      this.#at = atMs.toFixed(3)
    }
    const line = `${this.#at} ${what}`
    this.#chunk += `${line}\n`
    this.#count++
    this.#lines.push(line)
    if (!this.#keep && this.#lines.length >= 2 * TAIL_LINES) this.#lines = this.#lines.slice(-TAIL_LINES)
    if (this.#chunk.length >= CHUNK_CHARACTERS) {
      this.#hash.update(this.#chunk)
      this.#chunk = ''
    }
  }

  /** The SHA-256 of all lines, in hexadecimal. Nothing can be added afterwards. */
  sha256(): string {
    if (this.#sha256 === undefined) {
      this.#hash.update(this.#chunk)
      this.#sha256 = this.#hash.digest('hex')
    }
    return this.#sha256
  }
}

/** 32-bit FNV-1a of bytes: tells frames apart in a trace. */
export function fingerprint(bytes: Uint8Array): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
