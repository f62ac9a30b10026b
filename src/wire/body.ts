import { badFrame } from './frame-error.js'
import { glimpse } from './glimpse.js'

/** Every block of the body starts at a multiple of this, counted from the start of the frame. */
export const ALIGNMENT = 8

/** The length of a body is written in 32 bits. */
export const MAX_BODY_BYTES = 0xffff_ffff

/** What a header says of one block: element type, shape, offset in the body, length in bytes, variable's name. */
export type Descriptor = readonly [
  dtype: string,
  shape: readonly number[],
  offset: number,
  byteLength: number,
  name?: string,
]

export function aligned(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT
}

/** The tensors and binaries of one message, in the order in which its arguments name them. */
export class BodyWriter {
  readonly descriptors: Descriptor[] = []
  readonly #blocks: Uint8Array[] = []
  readonly #ends: number[] = []

  get byteLength(): number {
    return this.#ends.at(-1) ?? 0
  }

  /** Takes a block in; returns its index. The bytes are read by {@link writeTo}, not now. */
  add(dtype: string, shape: readonly number[], bytes: Uint8Array, name?: string): number {
    const offset = aligned(this.byteLength)
    const descriptor = [dtype, shape, offset, bytes.byteLength] as const
    this.#blocks.push(bytes)
    this.#ends.push(offset + bytes.byteLength)
    return this.descriptors.push(name === undefined ? descriptor : [...descriptor, name]) - 1
  }

  /** Forgets the blocks from `count` on: the value they belonged to could not be sent. */
  truncate(count: number): void {
    this.descriptors.length = count
    this.#blocks.length = count
    this.#ends.length = count
  }

  /** Writes the body at `start`; the gaps between blocks become zeros. */
  writeTo(frame: Uint8Array, start: number): void {
    let at = start
    this.#blocks.forEach((block, index) => {
      const begin = start + (this.descriptors[index]?.[2] ?? 0)
      frame.fill(0, at, begin)
      frame.set(block, begin)
      at = begin + block.byteLength
    })
  }
}

/** A block that a frame was found to hold: a view, and what its descriptor says, of which only the place is proven. */
export interface Block {
  readonly dtype: unknown
  readonly shape: unknown
  readonly name: unknown
  readonly bytes: Uint8Array
}

/**
 * The blocks of a body that came from outside: each must start at a multiple of {@link ALIGNMENT}, less than that
 * after the end of the one before, and the last must end where the body ends. So none overlap and nothing hides.
 *
 * @throws TroupeError ERR_FRAME naming the field of the descriptor, with its index
 */
export function readBlocks(descriptors: unknown, body: Uint8Array): Block[] {
  if (!Array.isArray(descriptors)) {
    throw badFrame('tensors', `must be an array of descriptors, got ${glimpse(descriptors)}`)
  }
  let end = 0
  const blocks = descriptors.map((descriptor: unknown, index) => {
    if (!Array.isArray(descriptor) || descriptor.length < 4 || descriptor.length > 5) {
      const what = `descriptor ${index} must be an array of 4 or 5, got ${glimpse(descriptor)}`
      throw badFrame('tensors', what, { data: { index } })
    }
    const [dtype, shape, offset, byteLength, name] = descriptor as unknown[]
    const begin = aligned(end)
    if (offset !== begin) {
      const what = `tensor ${index} must start at ${begin}, where the one before allows it, got ${glimpse(offset)}`
      throw badFrame('tensor.offset', what, { data: { index } })
    }
    if (typeof byteLength !== 'number' || !Number.isSafeInteger(byteLength) || byteLength < 0) {
      const what = `tensor ${index} must have a whole number of bytes, got ${glimpse(byteLength)}`
      throw badFrame('tensor.byteLength', what, { data: { index } })
    }
    end = begin + byteLength
    if (end > body.byteLength) {
      const what = `tensor ${index} of ${byteLength} bytes at ${begin} ends past the body of ${body.byteLength}`
      throw badFrame('tensor.byteLength', what, { data: { index } })
    }
    return { dtype, shape, name, bytes: body.subarray(begin, end) }
  })
  if (end !== body.byteLength) {
    throw badFrame('body', `${body.byteLength - end} bytes that belong to no tensor`)
  }
  return blocks
}
