import { TAG_MARK } from './scan.js'

/** Values in one payload. A graph that shares parts can unfold without end; this ends it. */
export const MAX_VALUES = 1 << 20

/**
 * How deep containers may nest in arguments. Less than a scan allows, for what the frame adds on top: two levels of
 * header, up to two of a leaf's tag, and the causes of an error.
 */
export const MAX_ARGUMENT_DEPTH = 100

/** msgpackr writes the size of an object in 16 bits. */
export const MAX_KEYS = 0xffff

export const MIN_INT64 = -(2n ** 63n)
export const MAX_UINT64 = 2n ** 64n - 1n

let valuesLeft = 0

/**
 * Can msgpackr write this as it is, and will it be the same when read? False for anything special and anything
 * refused: the encoder sorts them. Text is left out: see `holdsOddText`.
 *
 * This walk is the price of strictness on every message, so it allocates nothing.
 */
export function isPlain(values: readonly unknown[]): boolean {
  valuesLeft = MAX_VALUES
  return isPlainArray(values, 0) && valuesLeft >= 0
}

function isPlainArray(values: readonly unknown[], depth: number): boolean {
  valuesLeft -= values.length
  for (let i = 0; i < values.length; i++) if (!isPlainValue(values[i], depth)) return false
  return true
}

/** In the order of how often each is met. */
function isPlainValue(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return true
  if (typeof value === 'number') return value !== 0 || !Object.is(value, -0)
  if (typeof value === 'object') return value === null || isPlainContainer(value, depth + 1)
  if (typeof value === 'bigint') return value >= MIN_INT64 && value <= MAX_UINT64
  return typeof value === 'boolean'
}

function isPlainContainer(value: object, depth: number): boolean {
  if (depth > MAX_ARGUMENT_DEPTH || valuesLeft < 0) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) return Array.isArray(value) && isPlainArray(value, depth)
  if (prototype !== Object.prototype && prototype !== null) return false
  const record = value as Record<string, unknown>
  let count = 0
  let first = ''
  for (const key in record) {
    if (count++ === 0) first = key
    if (isProto(key) || !isPlainValue(record[key], depth)) return false
  }
  valuesLeft -= count
  return count <= MAX_KEYS && !(count === 1 && first.startsWith(TAG_MARK))
}

const PROTO = '__proto__'

/** Comparing lengths first is worth a few per cent of an encoding. */
function isProto(key: string): boolean {
  return key.length === PROTO.length && key === PROTO
}
