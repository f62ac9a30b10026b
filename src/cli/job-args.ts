import { describe } from '../errors.js'
import { usageError } from './usage-error.js'

/** Arguments of a job's `main`, as given on the command line. */
export type JobArgs = Readonly<Record<string, string | number | boolean>>

/** `toString` would be a name too. */
const NAME = /^[A-Za-z][A-Za-z0-9_-]*$/

/**
 * Reads `key=value`; numbers and true or false become what they look like, `key='"5"'` stays text.
 *
 * @throws ERR_USAGE
 */
export function readJobArg(text: string): readonly [name: string, value: string | number | boolean] {
  const at = text.indexOf('=')
  const name = text.slice(0, at)
  if (at === -1 || !NAME.test(name)) {
    throw usageError(`an argument of the job must be key=value; got ${describe(text)}`, '--arg', text)
  }
  return [name, readValue(text.slice(at + 1))]
}

function readValue(text: string): string | number | boolean {
  if (text === 'true') return true
  if (text === 'false') return false
  if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return Number(text)
  const quoted = /^"(.*)"$/s.exec(text)
  return quoted?.[1] ?? text
}
