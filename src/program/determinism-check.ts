import type * as Tfjs from '@tensorflow/tfjs'
import { TroupeError } from '../errors.js'

/** All that a step gives, by what it is of: copies of its values. */
type Given = ReadonlyMap<string, Float32Array>

/**
 * Computes a step twice with the same randomness and compares all that comes of it, bit by bit: a step that depends on
 * something else (a clock, a counter of the program's own) could not be repeated by a successor.
 */
export class DeterminismCheck {
  readonly #tf: typeof Tfjs
  #gradients = new Map<string, Float32Array>()

  constructor(tf: typeof Tfjs) {
    this.#tf = tf
  }

  /** Takes note of the gradients of the step that is being computed. */
  stage(gradients: ReadonlyMap<string, Tfjs.Tensor | undefined>): void {
    for (const [name, tensor] of gradients)
      if (tensor !== undefined) this.#gradients.set(name, valuesOf(tensor))
  }

  /**
   * @param step from 1
   * @param state variables that the step writes; they are put back in between
   * @param reseed puts randomness back to the step's beginning
   * @throws ERR_NOT_DETERMINISTIC, which names what differs
   */
  twice(
    step: number,
    state: readonly Tfjs.Variable[],
    reseed: () => void,
    compute: () => ArrayLike<number>,
  ): ArrayLike<number> {
    const before = state.map(valuesOf)
    const first = this.#once(state, compute)
    for (const [i, variable] of state.entries()) {
      const values = this.#tf.tensor(before[i]!, variable.shape, 'float32')
      variable.assign(values)
      values.dispose()
    }
    reseed()
    const second = this.#once(state, compute)
    for (const [what, values] of first.given) compare(step, what, values, second.given.get(what))
    return second.outputs
  }

  #once(
    state: readonly Tfjs.Variable[],
    compute: () => ArrayLike<number>,
  ): { readonly given: Given; readonly outputs: ArrayLike<number> } {
    this.#gradients = new Map()
    const outputs = compute()
    const given = new Map<string, Float32Array>([
      ['the loss and metrics', Float32Array.from(outputs)],
      ...[...this.#gradients].map(([name, values]) => [`the gradient of variable ${name}`, values] as const),
      ...state.map(variable => [`variable ${variable.name}`, valuesOf(variable)] as const),
    ])
    return { given, outputs }
  }
}

function valuesOf(tensor: Tfjs.Tensor): Float32Array {
  return Float32Array.from(tensor.dataSync())
}

function compare(step: number, what: string, first: Float32Array, second: Float32Array | undefined): void {
  const at = second === undefined ? 0 : first.findIndex((value, i) => !Object.is(value, second[i]))
  if (at === -1) return
  throw new TroupeError(
    'ERR_NOT_DETERMINISTIC',
    `step ${step}, computed twice with the same randomness, gives ${what} as ${String(first[at])} and then ` +
      `as ${String(second?.[at] ?? 'nothing')}, first at element ${at} of ${first.length}`,
    { data: { step, what, element: at } },
  )
}
