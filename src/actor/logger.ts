import { token } from '../determinism/index.js'

/** Where an actor's words go. `fields` are facts beside the message: plain data. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export const Logger = token<Logger>('Logger')

const nothing = (): void => undefined

/** Says nothing: the default of an embedded runtime. */
export const SILENT: Logger = Object.freeze({ debug: nothing, info: nothing, warn: nothing, error: nothing })

type Fields = Readonly<Record<string, unknown>>

/** A logger whose words are handed on, to be said elsewhere. */
export function forwardingLogger(
  say: (level: keyof Logger, message: string, fields: Fields | undefined) => void,
): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, fields?: Fields): void =>
      say(level, message, fields)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
