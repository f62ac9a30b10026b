import { format } from 'node:util'
import type { JobLog } from './job-context.js'
import type { TrainingSession } from './training-session.js'

const LEVELS = {
  log: 'info',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
  warn: 'warn',
  error: 'error',
} as const

/** Leads what a program prints into its log: one stream for all workers, silent while the program replays. */
export function redirectConsole(log: JobLog): void {
  const target = globalThis.console
  for (const [method, level] of Object.entries(LEVELS)) {
    Object.assign(target, { [method]: (...values: unknown[]) => log[level](format(...values)) })
  }
}

/** What a program writes past its console, such as a progress bar, goes nowhere while it replays. */
export function muteStreams(session: TrainingSession): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = (...args: unknown[]) => {
      if (!session.replaying) return write(...args)
      const written = args.at(-1)
      if (typeof written === 'function') (written as () => void)()
      return true
    }
  }
}
