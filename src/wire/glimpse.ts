import { describe } from '../errors.js'

const MAX_SHOWN = 40

/**
 * A short rendering of a value that a stranger may have made: unlike `describe` it never looks into a
 * container or at more than the start of a string, so its cost does not grow with the value.
 */
export function glimpse(value: unknown): string {
  if (typeof value === 'string') return describe(value.slice(0, MAX_SHOWN))
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'bigint') return 'a bigint'
  return typeof value === 'object' && value !== null ? 'an object' : describe(value)
}
