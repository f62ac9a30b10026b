import { describe, TroupeError } from '../errors.js'
import { checkNumber, refused, type Limits } from './option-check.js'
import { checkSchedule, type LearningRateSchedule } from './schedule.js'

/** What an option of an optimizer may hold. */
export type OptionValue = number | boolean | LearningRateSchedule

/** Options by name, as a program gives them. */
export type OptimizerOptions = Readonly<Record<string, OptionValue | undefined>>

/** A number within limits. */
export interface NumberRule extends Limits {
  readonly kind: 'number'
  /** Left out: the option is absent unless it is given. */
  readonly default?: number
}

export interface FlagRule {
  readonly kind: 'flag'
  readonly default: boolean
}

/** A number of at least 0, or a schedule. */
export interface RateRule {
  readonly kind: 'rate'
  readonly default: number
}

export type OptionRule = NumberRule | FlagRule | RateRule

/** Options of a rule, with their defaults and the values they may take. */
export type OptionTable = Readonly<Record<string, OptionRule>>

/** The values of a table's options, defaults filled in. */
export type Chosen<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends FlagRule ? boolean : number
}

/** A finite number of at least `min`. */
export function atLeast<const D extends number>(min: number, initial: D) {
  return { kind: 'number', default: initial, min, below: Infinity } as const
}

/** A share of what was before: a number in [0, 1). */
export function share<const D extends number>(initial: D) {
  return { kind: 'number', default: initial, min: 0, below: 1 } as const
}

export function flag(initial: boolean): FlagRule {
  return { kind: 'flag', default: initial }
}

/** Absent unless given; then a finite number above 0. */
export const OPTIONAL_LIMIT: NumberRule = { kind: 'number', above: 0, below: Infinity }

/**
 * Checks options against a table and fills in defaults; the result is plain data in the table's order.
 *
 * @throws ERR_INVALID_OPTION for an option that is not known or a value that is not allowed
 */
export function checkOptions(
  owner: string,
  table: OptionTable,
  given: OptimizerOptions,
): Readonly<Record<string, OptionValue>> {
  for (const option of Object.keys(given)) {
    if (Object.hasOwn(table, option)) continue
    const known = Object.keys(table).join(', ')
    throw new TroupeError('ERR_INVALID_OPTION', `${owner} has no option ${describe(option)}; it has ${known}`)
  }
  const options: Record<string, OptionValue> = {}
  for (const [option, rule] of Object.entries(table)) {
    const value = given[option] ?? rule.default
    if (value === undefined) continue
    options[option] = checkValue(`${owner}.${option}`, rule, value)
  }
  return options
}

function checkValue(path: string, rule: OptionRule, value: unknown): OptionValue {
  if (rule.kind === 'rate') {
    if (typeof value === 'object' && value !== null) return checkSchedule(path, value)
    return checkNumber(path, value, { min: 0, below: Infinity }, ', or a schedule')
  }
  if (rule.kind === 'number') return checkNumber(path, value, rule)
  if (typeof value === 'boolean') return value
  throw refused(path, value, 'true or false')
}
