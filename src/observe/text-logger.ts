import type { Logger } from '../actor/logger.js'
import type { Clock } from '../determinism/index.js'
import { describe, errorInfo } from '../errors.js'
import type { Output } from './output.js'

/** Levels, least important first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const DEFAULT_LOG_LEVEL: LogLevel = 'info'

export interface TextLoggerOptions {
  readonly output: Output
  readonly clock: Clock
  /** Less important lines are dropped. @default 'info' */
  readonly level?: LogLevel
  /** `plain` for people, `json` one object a line. @default 'plain' */
  readonly format?: 'plain' | 'json'
  /** Asked for every line: while true nothing is written, as when a program is replayed. @default never */
  readonly muted?: () => boolean
}

type Fields = Readonly<Record<string, unknown>>

/** Writes log lines as text: time, level, message, fields. */
export function textLogger(options: TextLoggerOptions): Logger {
  const { output, clock, level = DEFAULT_LOG_LEVEL, format = 'plain', muted } = options
  const least = LOG_LEVELS.indexOf(level)
  const line = format === 'json' ? jsonLine : plainLine
  const at = (level: LogLevel) => {
    const kept = LOG_LEVELS.indexOf(level) >= least
    return (message: string, fields: Fields = {}): void => {
      if (!kept || muted?.() === true) return
      output.write(`${line(new Date(clock.now()).toISOString(), level, message, fields)}\n`)
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function plainLine(time: string, level: LogLevel, message: string, fields: Fields): string {
  const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${fieldText(value)}`)
  return `${time} ${level.padEnd(5)} ${message}${pairs.join('')}`
}

function fieldText(value: unknown): string {
  if (value instanceof Error) return describe(value.message)
  return typeof value === 'string' && /^[\w./:-]+$/.test(value) ? value : describe(value)
}

function jsonLine(time: string, level: LogLevel, message: string, fields: Fields): string {
  // A field of one of the three names does not take its place.
  const record = Object.assign({ time, level, message }, fields, { time, level, message })
  try {
    return JSON.stringify(record, (_, value: unknown) => {
      if (value instanceof Error) return errorInfo(value)
      return typeof value === 'bigint' ? value.toString() : value
    })
  } catch {
    // A cycle: the line is worth more than the field.
    return JSON.stringify({ time, level, message, fields: Object.keys(fields) })
  }
}
