import { causalChain, hasCode, type ErrorCode } from 'troupe'
import { anyCause, hasOneOf } from './causes.js'

/** What happens again however often it is tried: the job ends with it at once. */
const REPEATABLE: readonly ErrorCode[] = [
  'ERR_BACKEND_CANNOT_TRAIN',
  'ERR_BACKEND_UNAVAILABLE',
  'ERR_JOB_MODULE',
  'ERR_LAYOUT',
  'ERR_NOT_DETERMINISTIC',
  'ERR_RANKS_DIVERGED',
  'ERR_REPLAY_DIVERGED',
  'ERR_REPLAY_LOOKAHEAD',
  'ERR_TRAINING_LOOP',
]

/** Is it of no use to start the actor again that failed with this? */
export function isRepeatable(error: unknown): boolean {
  // A program that fails before it has trained a step lost nothing, and will most likely fail again.
  if (hasCode(error, 'ERR_PROGRAM_FAILED') && error.data['steps'] === 0) return true
  return anyCause(error, cause => hasOneOf(cause, REPEATABLE))
}

/** What a person wants to know of a chain of causes in one line: where it began. */
export function rootCause(error: unknown): string {
  const [line = ''] = causalChain(error).at(-1)?.split('. Remedy: ', 1) ?? []
  return line
}
