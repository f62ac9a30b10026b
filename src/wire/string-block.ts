/**
 * The elements of a string tensor as bytes: for each its length as a little-endian uint32, then its UTF-8.
 * The layout is the one TensorFlow.js uses for string weights.
 */

const LENGTH_BYTES = 4
const encoder = new TextEncoder()
// A byte order mark is part of the element.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Lone surrogates become U+FFFD: UTF-8 has no place for them. */
export function encodeStrings(values: readonly string[]): Uint8Array {
  const encoded = values.map(value => encoder.encode(value))
  const total = encoded.reduce((sum, element) => sum + LENGTH_BYTES + element.length, 0)
  const bytes = new Uint8Array(total)
  const lengths = new DataView(bytes.buffer)
  let at = 0
  for (const element of encoded) {
    lengths.setUint32(at, element.length, true)
    bytes.set(element, at + LENGTH_BYTES)
    at += LENGTH_BYTES + element.length
  }
  return bytes
}

/** The inverse; the bytes must have passed {@link stringBlockFlaw}. */
export function decodeStrings(bytes: Uint8Array): string[] {
  const lengths = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values: string[] = []
  for (let at = 0; at < bytes.length;) {
    const length = lengths.getUint32(at, true)
    at += LENGTH_BYTES
    values.push(decoder.decode(bytes.subarray(at, at + length)))
    at += length
  }
  return values
}

/** Are these bytes exactly `count` elements? Reads lengths only, so takes time by `count` and no memory. */
export function stringBlockFlaw(bytes: Uint8Array, count: number): string | undefined {
  if (count > bytes.length / LENGTH_BYTES) return `${count} strings do not fit in ${bytes.length} bytes`
  const lengths = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  for (let element = 0; element < count; element++) {
    if (at + LENGTH_BYTES > bytes.length) return `string ${element} of ${count} starts past the end`
    at += LENGTH_BYTES + lengths.getUint32(at, true)
    if (at > bytes.length) return `string ${element} of ${count} ends past the end`
  }
  return at === bytes.length ? undefined : `${bytes.length - at} bytes left after ${count} strings`
}
