import { badFrame } from './frame-error.js'

/**
 * How deep containers may nest in a header, the header's own two levels included. Tags count: a Map in a
 * message takes two levels.
 */
export const MAX_DEPTH = 128

/** A map of one key that starts with this is a tag: it stands for a value that msgpack lacks. */
export const TAG_MARK = '$'
const TAG_MARK_BYTE = 0x24

/** What a scan found. One object, used again by each scan. */
export interface ScanResult {
  /** Where the value ends: the offset of the first byte after it. */
  end: number
  /** Does it hold anything that looks like a tag? */
  tagged: boolean
}

const result: ScanResult = { end: 0, tagged: false }

/** Strings beyond this many bytes lose a byte order mark when msgpackr reads them. */
const MARK_LOST_BEYOND_BYTES = 64

/**
 * Walks over exactly one msgpack value and refuses whatever a decoder should not be shown: extension types (a
 * decoder would build RegExp, Error, Set and compiled record readers), binaries (they belong into the body), map
 * keys that are no strings or named `__proto__`, counts and lengths beyond the bytes left, nesting beyond
 * {@link MAX_DEPTH}. Allocates nothing, reads each token once, skips over strings.
 *
 * @throws TroupeError ERR_FRAME, field `header`, with the offset
 */
export function scanValue(bytes: Uint8Array, start: number): ScanResult {
  result.tagged = false
  result.end = scanItems(bytes, start, 1, false, 0)
  if (result.end > bytes.length) throw refuse('ends in the middle of a value', bytes.length)
  return result
}

/** Scans `count` values, or keys and values in turn; returns the offset after them. */
function scanItems(bytes: Uint8Array, start: number, count: number, keyed: boolean, depth: number): number {
  const length = bytes.length
  if (depth > MAX_DEPTH) throw refuse(`nests deeper than ${MAX_DEPTH}`, start)
  if (count > (keyed ? (length - start) / 2 : length - start)) {
    throw refuse(
      `a container of ${count} does not fit in the ${Math.max(0, length - start)} bytes left`,
      start,
    )
  }
  let at = start
  for (let left = count; left > 0; left--) {
    if (keyed) {
      const key = at < length ? (bytes[at] as number) : 0
      // Most keys are short, and neither a tag nor as long as the forbidden one.
      if (count > 1 && key >= 0xa0 && key < 0xc0 && key !== PROTO_TOKEN) at += 1 + (key & 0x1f)
      else at = scanKey(bytes, at, count)
    }
    if (at >= length) throw refuse('ends in the middle of a container', length)
    const token = bytes[at++] as number
    if (token < 0x80 || token >= 0xe0) continue
    if (token < 0x90) at = scanItems(bytes, at, token & 0x0f, true, depth + 1)
    else if (token < 0xa0) at = scanItems(bytes, at, token & 0x0f, false, depth + 1)
    else if (token < 0xc0) at += token & 0x1f
    else {
      switch (token) {
        case 0xc0: // nil
        case 0xc2: // false
        case 0xc3: // true
          break
        case 0xcc: // uint 8
        case 0xd0: // int 8
          at += 1
          break
        case 0xcd: // uint 16
        case 0xd1: // int 16
          at += 2
          break
        case 0xca: // float 32
        case 0xce: // uint 32
        case 0xd2: // int 32
          at += 4
          break
        case 0xcb: // float 64
        case 0xcf: // uint 64
        case 0xd3: // int 64
          at += 8
          break
        case 0xd9:
          at = skipString(bytes, at + 1, unsigned(bytes, at, 1))
          break
        case 0xda:
          at = skipString(bytes, at + 2, unsigned(bytes, at, 2))
          break
        case 0xdb:
          at = skipString(bytes, at + 4, unsigned(bytes, at, 4))
          break
        case 0xdc:
          at = scanItems(bytes, at + 2, unsigned(bytes, at, 2), false, depth + 1)
          break
        case 0xdd:
          at = scanItems(bytes, at + 4, unsigned(bytes, at, 4), false, depth + 1)
          break
        case 0xde:
          at = scanItems(bytes, at + 2, unsigned(bytes, at, 2), true, depth + 1)
          break
        case 0xdf:
          at = scanItems(bytes, at + 4, unsigned(bytes, at, 4), true, depth + 1)
          break
        case 0xc4:
        case 0xc5:
        case 0xc6:
          throw refuse('a binary in the header', at - 1)
        case 0xc1:
          throw refuse('the byte 0xc1, which msgpack never uses', at - 1)
        default:
          throw refuse('an extension type', at - 1)
      }
    }
  }
  return at
}

/** Scans the key of an entry in a map of `count`; returns where the value begins. */
function scanKey(bytes: Uint8Array, start: number, count: number): number {
  let at = start
  const token = at < bytes.length ? (bytes[at++] as number) : 0
  let size: number
  if (token >= 0xa0 && token < 0xc0) {
    size = token & 0x1f
  } else {
    const width = token === 0xd9 ? 1 : token === 0xda ? 2 : token === 0xdb ? 4 : 0
    if (width === 0) throw refuse('a map key that is no string', start)
    size = unsigned(bytes, at, width)
    at += width
  }
  if (size > bytes.length - at) throw refuse(`a map key of ${size} bytes ends past the end`, start)
  if (count === 1 && size > 0 && bytes[at] === TAG_MARK_BYTE) result.tagged = true
  if (size === PROTO_KEY.length && isProtoKey(bytes, at)) throw refuse('the map key __proto__', start)
  return skipString(bytes, at, size)
}

const PROTO_KEY = Uint8Array.from('__proto__', character => character.charCodeAt(0))

const PROTO_TOKEN = 0xa0 | PROTO_KEY.length

function isProtoKey(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < PROTO_KEY.length; i++) if (bytes[at + i] !== PROTO_KEY[i]) return false
  return true
}

function skipString(bytes: Uint8Array, at: number, size: number): number {
  if (
    size > MARK_LOST_BEYOND_BYTES &&
    bytes[at] === 0xef &&
    bytes[at + 1] === 0xbb &&
    bytes[at + 2] === 0xbf
  ) {
    throw refuse('a string that begins with a byte order mark', at)
  }
  return at + size
}

/** A big-endian number of 1, 2 or 4 bytes. */
export function unsigned(bytes: Uint8Array, at: number, width: number): number {
  if (at + width > bytes.length) throw refuse('ends in the middle of a length', bytes.length)
  let value = 0
  for (let i = at; i < at + width; i++) value = value * 256 + (bytes[i] as number)
  return value
}

function refuse(what: string, offset: number): Error {
  return badFrame('header', what, { data: { offset } })
}
