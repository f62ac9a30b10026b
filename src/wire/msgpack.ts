import { Packr, Unpackr } from 'msgpackr'
import { TroupeError } from '../errors.js'

/**
 * msgpackr, tamed: no records, no extensions, no `toJSON`, and its memory kept small. Writes only values that
 * `isPlain` or `PayloadEncoder` let through; reads only bytes that `scanValue` let through.
 */
const packr = new Packr({ useRecords: false, useToJSON: false })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true })

/** msgpackr writes into a slab that it replaces when full; this is the size of its first. */
const SLAB_BYTES = 8192

/** msgpackr reserves three bytes a character and grows by four: a smaller value cannot have grown the slab so far. */
const MIN_GROWING_BYTES = 4096

/** A slab grown beyond this by one large value is not kept: every later frame would hold on to it. */
const MAX_SLAB_BYTES = 65_536

/**
 * @returns a view of a slab that later values share, or memory of its own if large
 * @throws TroupeError ERR_PAYLOAD if the value is too large
 */
export function pack(value: unknown): Buffer {
  let packed: Buffer
  try {
    packed = packr.pack(value)
  } catch (cause) {
    packr.useBuffer(Buffer.allocUnsafeSlow(SLAB_BYTES))
    throw new TroupeError('ERR_PAYLOAD', 'the arguments could not be written', { cause })
  }
  if (packed.length < MIN_GROWING_BYTES || packed.buffer.byteLength <= MAX_SLAB_BYTES) return packed
  const own = Buffer.allocUnsafeSlow(packed.length)
  own.set(packed)
  packr.useBuffer(Buffer.allocUnsafeSlow(SLAB_BYTES))
  return own
}

/**
 * msgpackr needs a DataView of what it reads, and making one takes longer than reading a small message: what fits
 * is read from here, where the view is made once. It also leaves no trace on the caller's buffer.
 */
const scratch = Buffer.allocUnsafeSlow(SLAB_BYTES)

/** Which bytes of `scratch` to read: one object, used again each time. */
const window = { start: 0, end: 0 }

/** Reads the one value that lies from `start` to `end`; it shares no memory with `bytes`. */
export function unpack(bytes: Uint8Array, start: number, end: number): unknown {
  if (bytes.length > scratch.length) {
    const part = bytes.subarray(start, end)
    // its native reader of strings crashes on memory shared between threads
    return unpackr.unpack(part.buffer instanceof SharedArrayBuffer ? new Uint8Array(part) : part)
  }
  scratch.set(bytes)
  window.start = start
  window.end = end
  return unpackr.unpack(scratch, window)
}
