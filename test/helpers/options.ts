// Command lines of the bench and of the soak: a wrong one is answered with the value got and what is accepted.

import { parseArgs, type ParseArgsConfig } from 'node:util'

/** A command line that cannot be carried out; print the message, exit with code 2. */
export class UsageError extends Error {}

/** Parses strictly: an option that is not listed, or lacks its value, is a {@link UsageError}. */
export function readCommandLine<const C extends ParseArgsConfig>(config: C): ReturnType<typeof parseArgs<C>> {
  try {
    return parseArgs(config)
  } catch (error) {
    const accepted = Object.keys(config.options ?? {}).map(name => `--${name}`)
    throw new UsageError(`${(error as Error).message}\naccepted: ${accepted.join(', ')}`)
  }
}

/** `value` as an integer of at least `least`; `fallback` when it was not given. */
export function integerOption(
  name: string,
  value: string | undefined,
  fallback: number,
  least: number,
): number {
  if (value === undefined) return fallback
  const number = Number(value)
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new UsageError(`--${name} must be an integer of at least ${least}, got ${JSON.stringify(value)}`)
}

/** Refuses a name that is not among the accepted ones. */
export function checkName<N extends string>(what: string, name: string, accepted: readonly N[]): N {
  const known = accepted.find(each => each === name)
  if (known !== undefined) return known
  throw new UsageError(`no ${what} is named ${JSON.stringify(name)}; there are ${accepted.join(', ')}`)
}

/** Runs a program's main function: a usage error is one line and code 2, any other a stack and code 1. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main()
  } catch (error) {
    const usage = error instanceof UsageError
    process.stderr.write(usage ? `${error.message}\n` : `${(error as Error).stack ?? String(error)}\n`)
    process.exitCode = usage ? 2 : 1
  }
}
