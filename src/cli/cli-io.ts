import type { Clock } from '../determinism/index.js'
import type { Output } from '../observe/index.js'

/** All that the command line touches of the process it runs in. */
export interface CliIo {
  readonly out: Output
  readonly err: Output
  readonly clock: Clock
  /** Relative paths start here. */
  readonly cwd: string
  /** Calls `listener` for each Ctrl-C (or SIGTERM); the answer takes it off again. */
  onInterrupt(listener: () => void): () => void
  /** Ends the process at once, whatever is running. */
  exitNow(code: number): void
}
