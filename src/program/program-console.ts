import { format } from 'node:util'
import type { JobLog } from './job-context.js'

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
