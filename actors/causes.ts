import { hasCode, type ErrorCode } from 'troupe'

/** Does it hold for the error, or for one that caused it? */
export function anyCause(error: unknown, holds: (cause: Error) => boolean): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (holds(at)) return true
  return false
}

export function hasOneOf(error: Error, codes: readonly ErrorCode[]): boolean {
  return codes.some(code => hasCode(error, code))
}
