import type { Chosen, OptionTable } from './optimizer-options.js'

/** State that an optimizer keeps for each element: an array as large as the weights. */
export interface SlotSpec {
  readonly name: string
  /** What every element holds before the first update. */
  readonly initial: number
}

/** The elementwise updates that every implementation of the kernels has. */
export type UpdateKernel =
  | 'sgd'
  | 'momentum'
  | 'nesterov'
  | 'adagrad'
  | 'rmsprop'
  | 'rmspropMomentum'
  | 'rmspropCentered'
  | 'rmspropCenteredMomentum'
  | 'adam'
  | 'amsgrad'
  | 'ftrl'
  | 'ftrlPower'

/** A kernel and its scalars, in the kernel's order and rounded to float32. */
export interface KernelCall {
  readonly kernel: UpdateKernel
  readonly scalars: readonly number[]
}

/**
 * How weights move: elementwise and in float32, each operation rounded on its own, so that every engine, and a
 * kernel in WebAssembly, gives the same bits. What does not depend on the element is computed in float64, whose
 * + - * / and sqrt are exact to the last bit on every engine, and rounded once.
 */
export interface UpdateRule<T extends OptionTable = OptionTable> {
  readonly learningRate: number
  /** Beside those that every optimizer has. */
  readonly options: T
  /** @default 0 */
  readonly weightDecay?: number
  slots(options: Chosen<T>): readonly SlotSpec[]
  /** What the update number `iteration` (from 1) computes. */
  call(options: Chosen<T>, learningRate: number, iteration: number): KernelCall
}

/** Declares a rule; options are typed by its own table within, and by none outside. */
export function updateRuleOf<const T extends OptionTable>(rule: UpdateRule<T>): UpdateRule {
  return rule
}
