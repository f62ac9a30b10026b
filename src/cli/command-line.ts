import { parseArgs } from 'node:util'
import { describe } from '../errors.js'
import type { OptionSpec } from './option-spec.js'
import { closest } from './closest.js'
import { usageError } from './usage-error.js'

// oxlint-disable-next-line typescript/no-explicit-any -- any option spec
export type OptionSpecs = Readonly<Record<string, OptionSpec<any>>>

type ValueOf<S> = S extends OptionSpec<infer T> & { readonly repeated: true }
  ? T[]
  : S extends OptionSpec<infer T>
    ? T
    : never

/** The options that were given, by name without the dashes. */
export type OptionValues<O extends OptionSpecs> = { readonly [K in keyof O]?: ValueOf<O[K]> }

export interface CommandLine<O extends OptionSpecs> {
  readonly options: OptionValues<O>
  /** Arguments that are not options, before a `--`. */
  readonly operands: readonly string[]
  /** What stands behind a `--`, as it is. */
  readonly rest: readonly string[]
}

/**
 * Reads the arguments of a command.
 *
 * @throws ERR_USAGE naming the option, the value got and what is accepted
 */
export function readCommandLine<O extends OptionSpecs>(argv: readonly string[], specs: O): CommandLine<O> {
  const cut = argv.indexOf('--')
  const own = cut === -1 ? argv : argv.slice(0, cut)
  const { tokens } = parseArgs({
    args: [...own],
    options: Object.fromEntries(
      Object.entries(specs).map(([name, spec]) => [
        name,
        { type: spec.placeholder === undefined ? 'boolean' : 'string' } as const,
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const values: Record<string, unknown> = {}
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined
    if (spec === undefined) throw unknownOption(token.rawName, specs)
    const value: unknown = spec.read(valueText(token, spec), token.rawName)
    if (spec.repeated === true)
      values[token.name] = [...((values[token.name] as unknown[] | undefined) ?? []), value]
    else if (Object.hasOwn(values, token.name))
      throw usageError(`${token.rawName} is given twice; once is the limit`, token.rawName)
    else values[token.name] = value
  }
  return { options: values as OptionValues<O>, operands, rest: cut === -1 ? [] : argv.slice(cut + 1) }
}

interface OptionToken {
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function valueText(token: OptionToken, spec: OptionSpec<unknown>): string {
  const { rawName, value, inlineValue } = token
  if (spec.placeholder === undefined) {
    if (value !== undefined)
      throw usageError(`${rawName} takes no value; got ${describe(value)}`, rawName, value)
    return ''
  }
  // `--workers --json`: what follows is an option, not a value; `--seed -1` is a bad value.
  if (value === undefined || (inlineValue !== true && /^-(-|\D)/.test(value))) {
    throw usageError(`${rawName} needs a value: ${rawName} ${spec.placeholder}`, rawName)
  }
  return value
}

function unknownOption(rawName: string, specs: OptionSpecs): Error {
  const known = Object.keys(specs).map(name => `--${name}`)
  const near = closest(rawName, known)
  const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}?`
  return usageError(`unknown option ${rawName}; ${hint}`, rawName)
}

const HELP_INDENT = 2
const HELP_GAP = 2

/** The options as a table for `--help`. */
export function optionHelp(specs: OptionSpecs): string[] {
  const rows = Object.entries(specs).map(([name, spec]) => {
    const left = `--${name}${spec.placeholder === undefined ? '' : ` ${spec.placeholder}`}`
    return [left, `${spec.help}${spec.repeated === true ? '; may be repeated' : ''}`] as const
  })
  const width = Math.max(...rows.map(([left]) => left.length)) + HELP_GAP
  return rows.map(([left, right]) => `${' '.repeat(HELP_INDENT)}${left.padEnd(width)}${right}`)
}
