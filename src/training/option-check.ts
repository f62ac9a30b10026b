import { describe, TroupeError } from '../errors.js'

/** The values that a number may take. */
export interface Limits {
  /** At least this... */
  readonly min?: number
  /** ...or above this... */
  readonly above?: number
  /** ...at most this... */
  readonly max?: number
  /** ...and below this. */
  readonly below: number
}

/** @throws ERR_INVALID_OPTION with the limits unless the value is a number within them */
export function checkNumber(path: string, value: unknown, limits: Limits, orElse = ''): number {
  const { min = -Number.MAX_VALUE, above = -Infinity, max = Infinity, below } = limits
  if (typeof value === 'number' && value >= min && value > above && value <= max && value < below)
    return value
  throw refused(path, value, limitText(limits) + orElse)
}

/** @throws always ERR_INVALID_OPTION's error, to be thrown by the caller */
export function refused(path: string, value: unknown, limit: string): TroupeError {
  return new TroupeError('ERR_INVALID_OPTION', `${path} is ${describe(value)}; it must be ${limit}`)
}

function limitText({ min, above, max, below }: Limits): string {
  if (below < Infinity) return `a number in [${min ?? 0}, ${below})`
  if (above !== undefined) return `a number above ${above}`
  if (max === undefined) return `a number of at least ${min ?? 0}`
  return min === undefined ? `a number of at most ${max}` : `a number in [${min}, ${max}]`
}
