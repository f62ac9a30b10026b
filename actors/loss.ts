import { hasCode, type ErrorCode } from 'troupe'
import { anyCause, hasOneOf } from './causes.js'

const LOSSES: readonly ErrorCode[] = [
  'ERR_ACTOR_STOPPED',
  'ERR_PROGRAM_STOPPED',
  'ERR_REPLY_LOST',
  'ERR_STALE_GENERATION',
]

/**
 * Was no answer got because the one who was asked is gone, or the job has rolled back? Nobody's mistake then: whoever
 * supervises the one who is gone puts it right.
 */
export function isLoss(error: unknown): boolean {
  return anyCause(error, cause => hasOneOf(cause, LOSSES) || wasKilled(cause))
}

/** The incarnation that was asked was killed, or ended before it answered: its successor may be asked. */
export function isLostReply(error: unknown): boolean {
  return hasCode(error, 'ERR_REPLY_LOST') || (error instanceof Error && wasKilled(error))
}

function wasKilled(error: Error): boolean {
  return hasCode(error, 'ERR_ACTOR_FAILED') && error.data['reason'] === 'killed'
}
