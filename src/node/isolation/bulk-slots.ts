import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { entropySeed } from '../../determinism/index.js'

/** Bytes that are copied in one go: the reader copies one slot out while the writer fills the next. */
export const SLOT_BYTES = 1024 * 1024

/** Slots of one direction. Their pages are taken when they are first used. */
export const SLOTS = 8

/** Files in memory, on Linux. */
const SHARED_MEMORY_FOLDER = '/dev/shm'

/**
 * Opens a file in memory for one direction between two processes. It has no name any more when this returns: who has
 * the descriptor has the memory, and nothing is left behind however they end.
 *
 * @returns undefined where there is no such file system, or no room in it
 */
export function openSlots(): number | undefined {
  const path = join(SHARED_MEMORY_FOLDER, `troupe-${process.pid}-${entropySeed()}`)
  let fd: number
  try {
    fd = openSync(path, 'wx+', 0o600)
  } catch {
    return undefined
  }
  try {
    unlinkSync(path)
    ftruncateSync(fd, SLOTS * SLOT_BYTES)
    return fd
  } catch {
    closeSync(fd)
    return undefined
  }
}

/** Fills slots in turn; a slot is free again when the reader has said so. */
export class SlotWriter {
  readonly #fd: number
  #free = SLOTS
  #next = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Copies at most {@link SLOT_BYTES} into the next slot. */
  write(bytes: Uint8Array): 'written' | 'full' | 'failed' {
    if (this.#free === 0) return 'full'
    try {
      const position = this.#next * SLOT_BYTES
      for (let at = 0; at < bytes.byteLength;) {
        at += writeSync(this.#fd, bytes, at, bytes.byteLength - at, position + at)
      }
    } catch {
      // no page is left in the machine's shared memory: bytes can go another way
      return 'failed'
    }
    this.#free -= 1
    this.#next = (this.#next + 1) % SLOTS
    return 'written'
  }

  freed(slots: number): void {
    this.#free += slots
  }
}

/** Empties slots in the order in which they were filled. */
export class SlotReader {
  readonly #fd: number
  #next = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  read(into: Uint8Array): void {
    const position = this.#next * SLOT_BYTES
    for (let at = 0; at < into.byteLength;) {
      at += readSync(this.#fd, into, at, into.byteLength - at, position + at)
    }
    this.#next = (this.#next + 1) % SLOTS
  }
}
