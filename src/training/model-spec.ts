import { TroupeError } from '../errors.js'
import type { OptimizerSpec } from './optimizer.js'

/** A variable of the model; its elements are float32. */
export interface VariableSpec {
  /** Unique in the job: parts that name it share the variable. */
  readonly name: string
  /** Empty for a scalar. */
  readonly shape: readonly number[]
  /**
   * Trainable ones are updated by an optimizer from gradients. The others are state that the program itself writes
   * in a step (statistics of a BatchNorm): ranks push their values, and their mean over rows is everyone's next.
   */
  readonly trainable: boolean
}

/**
 * What a program trains in a step: an optimizer with the variables that it updates, and state that changes beside.
 * Every rank of a job must agree on it. Parts are numbered in the order in which a program first trains them;
 * variables are known by name, so parts may share them.
 */
export interface ModelPart {
  readonly optimizer: OptimizerSpec
  /** The trainable ones first, in the order of the gradients, then state. */
  readonly variables: readonly VariableSpec[]
  /** Names of what a step returns to user code: the loss, then the metrics. */
  readonly outputs: readonly string[]
}

/** Elements in a variable of this shape. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const size of shape) count *= size
  return count
}

/**
 * Throws unless both are the same in every name, shape, option and order.
 *
 * @throws ERR_RANKS_DIVERGED with both lists
 */
export function assertSamePart(known: ModelPart, got: ModelPart, rank: number): void {
  const lists: [string, readonly string[], readonly string[]][] = [
    ['variables', known.variables.map(variableText), got.variables.map(variableText)],
    ['optimizer', [optimizerText(known.optimizer)], [optimizerText(got.optimizer)]],
    ['outputs of a step', known.outputs, got.outputs],
  ]
  for (const [what, before, now] of lists) {
    const at = firstDifference(before, now)
    if (at === -1) continue
    throw new TroupeError(
      'ERR_RANKS_DIVERGED',
      `the ${what} of rank ${rank} differ from the job's, first at position ${at}: ` +
        `${now[at] ?? '(none)'} instead of ${before[at] ?? '(none)'}. ` +
        `The job has [${before.join(', ')}]; rank ${rank} has [${now.join(', ')}]`,
      { data: { rank, what, job: before, got: now } },
    )
  }
}

function firstDifference(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i
  return -1
}

function variableText(variable: VariableSpec): string {
  return `${variable.name}[${variable.shape.join('x')}]${variable.trainable ? '' : ' (state)'}`
}

function optimizerText({ id, name, options }: OptimizerSpec): string {
  const listed = Object.entries(options).map(([option, value]) => `${option}=${JSON.stringify(value)}`)
  return `${id}: ${name}(${listed.join(', ')})`
}
