import type * as Tfjs from '@tensorflow/tfjs'
import { batchText, compileStep, type CompiledStep } from './compile-step.js'
import type { Step } from './probe.js'
import type { Refusal } from './refusal.js'

/** Graphs that are kept: a full batch and an odd last one need two. */
export const DEFAULT_MAX_GRAPHS = 8

export interface CompiledStepsOptions {
  /** The variables that the step trains and keeps statistics in. */
  readonly weights: readonly Tfjs.Variable[]
  /** Batches of further shapes are computed eagerly. @default 8 */
  readonly maxGraphs?: number
}

/** How batches of one shape are computed. */
export interface StepChoice {
  /** Shapes and types of the tensors of the batch. */
  readonly batch: string
  /** Why they are computed eagerly; undefined: by a graph. */
  readonly refused: Refusal | undefined
}

/**
 * A training step by graphs where that is sound: one for each shape of batch, made when the first such batch comes, and
 * eager steps for others. Either way the results are the same bits, so it does not matter who chose what and when.
 */
export class CompiledSteps {
  readonly #tf: typeof Tfjs
  readonly #step: Step
  readonly #options: CompiledStepsOptions
  readonly #byBatch = new Map<string, CompiledStep | Refusal>()
  #graphs = 0

  constructor(tf: typeof Tfjs, step: Step, options: CompiledStepsOptions) {
    this.#tf = tf
    this.#step = step
    this.#options = options
  }

  /** Makes the step and returns what it returns, in tensors of the caller's. */
  run(batch: readonly Tfjs.Tensor[]): readonly Tfjs.Tensor[] {
    const key = batchText(batch)
    let way = this.#byBatch.get(key)
    if (way === undefined) {
      way = this.#choose(batch)
      this.#byBatch.set(key, way)
    }
    return 'reason' in way ? this.#step(batch) : way.run(batch)
  }

  /** What was chosen so far. */
  choices(): StepChoice[] {
    return [...this.#byBatch].map(([batch, way]) => ({ batch, refused: 'reason' in way ? way : undefined }))
  }

  /** Frees the graphs. */
  dispose(): void {
    for (const way of this.#byBatch.values()) if (!('reason' in way)) way.dispose()
    this.#byBatch.clear()
    this.#graphs = 0
  }

  #choose(batch: readonly Tfjs.Tensor[]): CompiledStep | Refusal {
    const { weights, maxGraphs = DEFAULT_MAX_GRAPHS } = this.#options
    if (this.#graphs >= maxGraphs) {
      return {
        kind: 'too-many-shapes',
        reason: `there are graphs for batches of ${this.#graphs} other shapes; the limit is ${maxGraphs}`,
      }
    }
    const way = compileStep(this.#tf, this.#step, { weights, batch })
    if (!('reason' in way)) this.#graphs++
    return way
  }
}
