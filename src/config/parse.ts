import type { z } from 'zod'
import { describe, TroupeError } from '../errors.js'

/**
 * Checks options against a schema and applies its defaults.
 *
 * @param what how the message calls them, such as 'spawn option'
 * @throws ERR_INVALID_OPTION naming the path of the first bad field, the value got and what is accepted
 */
export function parseOptions<S extends z.ZodType>(schema: S, given: unknown, what: string): z.output<S> {
  const result = schema.safeParse(given)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const path = issue?.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]] : (issue?.path ?? [])
  const value = path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null
        ? (at as Record<PropertyKey, unknown>)[key as PropertyKey]
        : undefined,
    given,
  )
  const name = path.map(String).join('.')
  throw new TroupeError(
    'ERR_INVALID_OPTION',
    `bad ${what} '${name}': got ${describe(value)}; ${issue?.message ?? 'it is not accepted'}`,
    { data: { option: name, value: describe(value) } },
  )
}
