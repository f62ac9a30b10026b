import { describe } from '../errors.js'
import { cosinePi, power } from './elementary.js'
import { checkNumber, refused } from './option-check.js'

/** initialLearningRate * decayRate ^ (step / decaySteps) */
export interface ExponentialDecay {
  readonly schedule: 'exponentialDecay'
  readonly initialLearningRate: number
  readonly decaySteps: number
  readonly decayRate: number
  /** Decays at whole multiples of `decaySteps` only. @default false */
  readonly staircase?: boolean
}

/** initialLearningRate / (1 + decayRate * step / decaySteps) */
export interface InverseTimeDecay {
  readonly schedule: 'inverseTimeDecay'
  readonly initialLearningRate: number
  readonly decaySteps: number
  readonly decayRate: number
  /** Decays at whole multiples of `decaySteps` only. @default false */
  readonly staircase?: boolean
}

/** (initialLearningRate - endLearningRate) * (1 - step / decaySteps) ^ power + endLearningRate */
export interface PolynomialDecay {
  readonly schedule: 'polynomialDecay'
  readonly initialLearningRate: number
  readonly decaySteps: number
  /** @default 0.0001 */
  readonly endLearningRate?: number
  /** @default 1 */
  readonly power?: number
  /** Begins again at each multiple of `decaySteps`, which grows with it; else it stays at the end. @default false */
  readonly cycle?: boolean
}

/** values[i] up to and including the step boundaries[i], the last value behind the last boundary. */
export interface PiecewiseConstant {
  readonly schedule: 'piecewiseConstant'
  /** Steps, growing. */
  readonly boundaries: readonly number[]
  /** One more than boundaries. */
  readonly values: readonly number[]
}

/** Half a cosine from initialLearningRate (from warmupTarget after a warm-up) down to alpha times it. */
export interface CosineDecay {
  readonly schedule: 'cosineDecay'
  readonly initialLearningRate: number
  /** Of the cosine alone, the warm-up not counted. */
  readonly decaySteps: number
  /** The least share that is left. @default 0 */
  readonly alpha?: number
  /** Where a linear warm-up from initialLearningRate ends; left out, there is none. */
  readonly warmupTarget?: number
  /** @default 0 */
  readonly warmupSteps?: number
}

/**
 * A learning rate that changes with an optimizer's updates, as Keras's `LearningRateSchedule`s of these names: plain
 * data, so that every rank and server reads the same. `step` counts the optimizer's updates from 0.
 */
export type LearningRateSchedule =
  ExponentialDecay | InverseTimeDecay | PolynomialDecay | PiecewiseConstant | CosineDecay

const DEFAULT_END_LEARNING_RATE = 0.0001

export const SCHEDULE_NAMES: readonly LearningRateSchedule['schedule'][] = [
  'exponentialDecay',
  'inverseTimeDecay',
  'polynomialDecay',
  'piecewiseConstant',
  'cosineDecay',
]

/** The rate for the update after `step` others; float64, with the same bits on every engine. */
export function learningRateAt(rate: number | LearningRateSchedule, step: number): number {
  if (typeof rate === 'number') return rate
  switch (rate.schedule) {
    case 'exponentialDecay':
      return rate.initialLearningRate * power(rate.decayRate, passed(rate, step))
    case 'inverseTimeDecay':
      return rate.initialLearningRate / (1 + rate.decayRate * passed(rate, step))
    case 'polynomialDecay':
      return polynomial(rate, step)
    case 'piecewiseConstant': {
      const piece = rate.boundaries.findIndex(boundary => step <= boundary)
      return rate.values.at(piece)!
    }
    case 'cosineDecay':
      return cosine(rate, step)
  }
}

function passed({ decaySteps, staircase }: ExponentialDecay | InverseTimeDecay, step: number): number {
  const share = step / decaySteps
  return staircase === true ? Math.floor(share) : share
}

function polynomial(decay: PolynomialDecay, step: number): number {
  const { initialLearningRate, endLearningRate = DEFAULT_END_LEARNING_RATE, power: exponent = 1 } = decay
  let { decaySteps } = decay
  let at = step
  if (decay.cycle === true) decaySteps *= step === 0 ? 1 : Math.ceil(step / decaySteps)
  else at = Math.min(step, decaySteps)
  return (initialLearningRate - endLearningRate) * power(1 - at / decaySteps, exponent) + endLearningRate
}

function cosine(decay: CosineDecay, step: number): number {
  const { initialLearningRate, decaySteps, alpha = 0, warmupTarget, warmupSteps = 0 } = decay
  if (warmupTarget !== undefined && step < warmupSteps) {
    return initialLearningRate + (warmupTarget - initialLearningRate) * (step / warmupSteps)
  }
  const from = warmupTarget ?? initialLearningRate
  const at = Math.min(warmupTarget === undefined ? step : step - warmupSteps, decaySteps)
  return from * ((1 - alpha) * (0.5 * (1 + cosinePi(at / decaySteps))) + alpha)
}

/** Limits of the numbers in a schedule, in the order in which they are kept. */
const NUMBERS = {
  initialLearningRate: { min: 0, below: Infinity },
  decaySteps: { above: 0, below: Infinity },
  decayRate: { min: 0, below: Infinity },
  endLearningRate: { min: 0, below: Infinity },
  power: { min: 0, below: Infinity },
  alpha: { min: 0, max: 1, below: Infinity },
  warmupTarget: { min: 0, below: Infinity },
  warmupSteps: { min: 0, below: Infinity },
} as const

const FIELDS: Readonly<
  Record<LearningRateSchedule['schedule'], { readonly needed: string[]; readonly free: string[] }>
> = {
  exponentialDecay: { needed: ['initialLearningRate', 'decaySteps', 'decayRate'], free: ['staircase'] },
  inverseTimeDecay: { needed: ['initialLearningRate', 'decaySteps', 'decayRate'], free: ['staircase'] },
  polynomialDecay: {
    needed: ['initialLearningRate', 'decaySteps'],
    free: ['endLearningRate', 'power', 'cycle'],
  },
  piecewiseConstant: { needed: ['boundaries', 'values'], free: [] },
  cosineDecay: {
    needed: ['initialLearningRate', 'decaySteps'],
    free: ['alpha', 'warmupTarget', 'warmupSteps'],
  },
}

/**
 * Checks what a program gave as a schedule and returns it with its fields in one order, so that equal schedules are
 * equal as text.
 *
 * @throws ERR_INVALID_OPTION with the place, the value and what is allowed
 */
export function checkSchedule(path: string, given: object): LearningRateSchedule {
  const fields = given as Readonly<Record<string, unknown>>
  const name = fields['schedule']
  if (typeof name !== 'string' || !Object.hasOwn(FIELDS, name)) {
    throw refused(`${path}.schedule`, name, `one of ${SCHEDULE_NAMES.join(', ')}`)
  }
  const { needed, free } = FIELDS[name as LearningRateSchedule['schedule']]
  const known = [...needed, ...free]
  const strange = Object.keys(fields).find(field => field !== 'schedule' && !known.includes(field))
  if (strange !== undefined) {
    throw refused(path, given, `a ${name} without ${describe(strange)}: it has ${known.join(', ')}`)
  }
  const checked: Record<string, unknown> = { schedule: name }
  for (const field of known) {
    const value = fields[field]
    if (value === undefined && !needed.includes(field)) continue
    checked[field] = checkField(`${path}.${field}`, field, value)
  }
  if (name === 'piecewiseConstant') checkPieces(path, checked as unknown as PiecewiseConstant)
  return checked as unknown as LearningRateSchedule
}

function checkField(path: string, field: string, value: unknown): unknown {
  if (Object.hasOwn(NUMBERS, field)) return checkNumber(path, value, NUMBERS[field as keyof typeof NUMBERS])
  if (field === 'staircase' || field === 'cycle') {
    if (typeof value === 'boolean') return value
    throw refused(path, value, 'true or false')
  }
  if (!Array.isArray(value)) throw refused(path, value, 'a list of numbers')
  return value.map((each: unknown, i) => checkNumber(`${path}[${i}]`, each, { min: 0, below: Infinity }))
}

function checkPieces(path: string, { boundaries, values }: PiecewiseConstant): void {
  if (values.length !== boundaries.length + 1) {
    throw refused(
      `${path}.values`,
      values,
      `one more than boundaries: ${boundaries.length + 1} numbers, not ${values.length}`,
    )
  }
  const unordered = boundaries.findIndex((boundary, i) => i > 0 && boundary <= boundaries[i - 1]!)
  if (unordered !== -1) throw refused(`${path}.boundaries`, boundaries, 'growing from one to the next')
}
