import { describe, TroupeError } from '../errors.js'
import { adam } from './adam.js'
import { momentum } from './momentum.js'
import { sgd } from './sgd.js'

/** An optimizer as a program names it: plain data, equal on every rank. */
export interface OptimizerSpec {
  /** Unique in the job: slots are kept by (id, variable, slice). */
  readonly id: string
  readonly name: OptimizerName
  /** Every option, defaults filled in. */
  readonly options: Readonly<Record<string, number>>
}

/** Options of a rule, with their defaults and the values they may take. */
export type OptionTable = Readonly<Record<string, OptionRule>>

export interface OptionRule {
  readonly default: number
  readonly min: number
  /** The value must be below this. */
  readonly below: number
}

/**
 * How weights move: elementwise and in float32, each operation rounded on its own, so that every engine, and a
 * kernel in WebAssembly, gives the same bits.
 */
export interface UpdateRule {
  readonly options: OptionTable
  /** Names of the per-element state, each as large as the weights and zero in the beginning. */
  readonly slots: readonly string[]
  /** What one step needs beside the elements; `iteration` is 1 for the first update. */
  prepare(options: Readonly<Record<string, number>>, iteration: number): ElementUpdate
}

/**
 * Reads `from` and `gradient`, writes `to` and `slots` (in the rule's order); all of one length, none overlapping
 * except that `to` may be `from`.
 */
export type ElementUpdate = (
  from: Float32Array,
  to: Float32Array,
  gradient: Float32Array,
  slots: readonly Float32Array[],
) => void

const RULES = { sgd, momentum, adam } satisfies Record<string, UpdateRule>

export type OptimizerName = keyof typeof RULES

export const OPTIMIZER_NAMES = Object.keys(RULES) as readonly OptimizerName[]

export function updateRule(name: OptimizerName): UpdateRule {
  return RULES[name]
}

/**
 * Checks a program's choice and fills in defaults.
 *
 * @param given the learning rate, or options by name
 * @throws ERR_OPTIMIZER for a name that is not known, ERR_INVALID_OPTION for an option or value that is not allowed
 */
export function optimizerSpec(
  id: string,
  name: string,
  given: number | Readonly<Record<string, number>> = {},
): OptimizerSpec {
  if (!Object.hasOwn(RULES, name)) {
    throw new TroupeError(
      'ERR_OPTIMIZER',
      `optimizer ${describe(name)} is not known; known: ${OPTIMIZER_NAMES.join(', ')}`,
    )
  }
  const rule = updateRule(name as OptimizerName)
  const asked = typeof given === 'number' ? { learningRate: given } : given
  for (const option of Object.keys(asked)) {
    if (Object.hasOwn(rule.options, option)) continue
    const known = Object.keys(rule.options).join(', ')
    throw new TroupeError('ERR_INVALID_OPTION', `${name} has no option ${describe(option)}; it has ${known}`)
  }
  const options: Record<string, number> = {}
  for (const [option, { default: value, min, below }] of Object.entries(rule.options)) {
    const chosen = asked[option] ?? value
    if (typeof chosen !== 'number' || !(chosen >= min && chosen < below)) {
      const limit = below === Infinity ? `a number of at least ${min}` : `a number in [${min}, ${below})`
      throw new TroupeError(
        'ERR_INVALID_OPTION',
        `${name}.${option} is ${describe(chosen)}; it must be ${limit}`,
      )
    }
    options[option] = chosen
  }
  return { id, name: name as OptimizerName, options }
}
