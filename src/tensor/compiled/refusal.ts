/** Why a step stays eager. `kind` is stable, `reason` is for people. */
export interface Refusal {
  readonly kind: RefusalKind
  readonly reason: string
}

/**
 * - `backend`: the thread does not compute on native TensorFlow
 * - `step-reads`: the step looks at values (`dataSync`, `arraySync`), so what it does next may depend on them
 * - `step-waits`: the step returns a promise
 * - `step-failed`: the step itself threw
 * - `host-data`: numbers that come from JavaScript are other ones each time, and are no known random numbers
 * - `structure`: the step does not run the same ops each time
 * - `stateful-op`: TensorFlow itself keeps something from one step to the next, such as the place in random numbers
 * - `unknown-type`: a tensor or an attribute is of a type that the graph's writer does not know
 * - `too-large`: too many bytes of constants
 * - `graph-refused`: TensorFlow does not take the graph
 * - `bits-differ`: the graph's results are not those of the eager step
 * - `too-many-shapes`: as many graphs as are kept are for batches of other shapes
 */
export type RefusalKind =
  | 'backend'
  | 'step-reads'
  | 'step-waits'
  | 'step-failed'
  | 'host-data'
  | 'structure'
  | 'stateful-op'
  | 'unknown-type'
  | 'too-large'
  | 'graph-refused'
  | 'bits-differ'
  | 'too-many-shapes'

/** Leaves a trace that cannot become a graph. Never seen outside of this folder. */
export class StepRefused extends Error implements Refusal {
  readonly kind: RefusalKind

  constructor(kind: RefusalKind, reason: string, cause?: unknown) {
    super(reason, { cause })
    this.kind = kind
  }

  get reason(): string {
    return this.message
  }
}
