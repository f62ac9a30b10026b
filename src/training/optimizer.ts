import { describe, TroupeError } from '../errors.js'
import { adagrad } from './adagrad.js'
import { adam, adamw } from './adam.js'
import { ftrl } from './ftrl.js'
import { momentum, nesterov } from './momentum.js'
import {
  checkOptions,
  OPTIONAL_LIMIT,
  type OptimizerOptions,
  type OptionTable,
  type OptionValue,
} from './optimizer-options.js'
import { rmsprop } from './rmsprop.js'
import { learningRateAt, type LearningRateSchedule } from './schedule.js'
import { sgd } from './sgd.js'
import type { KernelCall, SlotSpec, UpdateRule } from './update-rule.js'

/** An optimizer as a program names it: plain data, equal on every rank. */
export interface OptimizerSpec {
  /** Unique in the job: slots are kept by (id, variable, slice). */
  readonly id: string
  readonly name: OptimizerName
  /** Every option, defaults filled in, always in the same order. */
  readonly options: Readonly<Record<string, OptionValue>>
}

/** What one update computes, the same for all its elements. */
export interface UpdateStep extends KernelCall {
  /** Of this update, rounded to float32. */
  readonly learningRate: number
  /** Share of the weights that the learning rate times this takes away before the update; float32; 0 for none. */
  readonly weightDecay: number
  /** Gradients are held within [-clipValue, clipValue] before the update; float32. */
  readonly clipValue: number | undefined
}

const RULES = { sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, ftrl } satisfies Record<
  string,
  UpdateRule
>

export type OptimizerName = keyof typeof RULES

export const OPTIMIZER_NAMES = Object.keys(RULES) as readonly OptimizerName[]

/** Options that every optimizer has; at most one of the last three may be given, as in Keras. */
const CLIPPING = { clipValue: OPTIONAL_LIMIT, clipNorm: OPTIONAL_LIMIT, globalClipNorm: OPTIONAL_LIMIT }

function optionTable({ learningRate, options, weightDecay = 0 }: UpdateRule): OptionTable {
  return {
    learningRate: { kind: 'rate', default: learningRate },
    ...options,
    weightDecay: { kind: 'number', default: weightDecay, min: 0, below: Infinity },
    ...CLIPPING,
  }
}

/**
 * Checks a program's choice and fills in defaults.
 *
 * @param given the learning rate, or options by name; `learningRate` may be a schedule
 * @throws ERR_OPTIMIZER for a name that is not known, ERR_INVALID_OPTION for an option or value that is not allowed
 */
export function optimizerSpec(
  id: string,
  name: string,
  given: number | OptimizerOptions = {},
): OptimizerSpec {
  if (!Object.hasOwn(RULES, name)) {
    throw new TroupeError(
      'ERR_OPTIMIZER',
      `optimizer ${describe(name)} is not known; known: ${OPTIMIZER_NAMES.join(', ')}`,
    )
  }
  const rule = RULES[name as OptimizerName]
  const asked = typeof given === 'number' ? { learningRate: given } : given
  const options = checkOptions(name, optionTable(rule), asked)
  const clipping = Object.keys(CLIPPING).filter(option => options[option] !== undefined)
  if (clipping.length > 1) {
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `${name} has ${clipping.join(' and ')}; one way of clipping may be given`,
    )
  }
  return { id, name: name as OptimizerName, options }
}

/** The state that an optimizer keeps for each element. */
export function slotsOf(spec: OptimizerSpec): readonly SlotSpec[] {
  return RULES[spec.name].slots(spec.options as Record<string, number>)
}

/**
 * What the update number `iteration` of an optimizer computes; 1 is its first.
 *
 * Scalars are computed in float64 by operations that are exact to the last bit on every engine, then rounded once.
 */
export function updateStep(spec: OptimizerSpec, iteration: number): UpdateStep {
  const options = spec.options as Readonly<Record<string, number>>
  const schedule = spec.options['learningRate'] as number | LearningRateSchedule
  const learningRate = learningRateAt(schedule, iteration - 1)
  const { clipValue } = options as { readonly clipValue?: number }
  return {
    ...RULES[spec.name].call(options, learningRate, iteration),
    learningRate: Math.fround(learningRate),
    weightDecay: Math.fround(options['weightDecay']!),
    clipValue: clipValue === undefined ? undefined : Math.fround(clipValue),
  }
}
