import type { CliIo } from './cli-io.js'

/** One of `troupe`'s commands. */
export interface Command {
  readonly name: string
  /** Half a line for the list of commands. */
  readonly summary: string
  /** The whole text of `--help`, line by line. */
  help(): string[]
  /** Resolves with the exit code; rejects with ERR_USAGE when the arguments make no sense. */
  run(argv: readonly string[], io: CliIo): Promise<number>
}
