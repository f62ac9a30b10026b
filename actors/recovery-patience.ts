import type { ErrorCode } from 'troupe'
import { anyCause, hasOneOf } from './causes.js'
import { isLoss } from './loss.js'

/** Of files that may do better in a while. */
const FILE_TROUBLES: readonly ErrorCode[] = [
  'ERR_CHECKPOINT_DAMAGED',
  'ERR_CHECKPOINT_DISK_FULL',
  'ERR_CHECKPOINT_IO',
  'ERR_CHECKPOINT_MISSING',
]

/** How often a recovery waits for files that refuse, or spoil what they hold. */
const FILE_TRIES = 10
const FIRST_WAIT_MS = 100
const MAX_WAIT_MS = 10_000

/** Says whether a recovery that failed is begun again, and when. */
export class RecoveryPatience {
  #failures = 0

  /** Everybody is where they should be. */
  recovered(): void {
    this.#failures = 0
  }

  /** Milliseconds until the recovery is begun again; undefined: it is not. */
  waitMs(error: unknown): number | undefined {
    if (isLoss(error)) return 0
    if (!anyCause(error, cause => hasOneOf(cause, FILE_TROUBLES)) || this.#failures === FILE_TRIES)
      return undefined
    return Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++)
  }
}
