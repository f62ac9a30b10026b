import type * as Tfjs from '@tensorflow/tfjs'
import { TroupeError } from '../errors.js'
import type { OptimizerSpec } from '../training/index.js'
import type { Trainee, TrainingSession } from './training-session.js'

type Gradients = Tfjs.NamedTensorMap | { readonly name: string; readonly tensor: Tfjs.Tensor }[]

/** Loss of a plain loop, in the journal and in progress. */
const LOSS_OUTPUTS = ['loss'] as const

/** An optimizer whose updates happen on the parameter servers. */
export interface BlockingOptimizer extends Tfjs.Optimizer {
  readonly spec: OptimizerSpec
}

/** Optimizers made by {@link createBlockingOptimizer}, in whatever class of tfjs. */
const made = new WeakSet<object>()

export function isBlockingOptimizer(value: unknown): value is BlockingOptimizer {
  return typeof value === 'object' && value !== null && made.has(value)
}

/**
 * A `tf.Optimizer` for ordinary programs: `minimize()` computes gradients here, leaves them to the parameter
 * servers, blocks the thread until every worker has done so, and assigns the new weights.
 *
 * `applyGradients()` by itself is a step too, for gradients that the program changed before. They are computed in a
 * replay as well, since they come before the step; so the loss that goes with them is this worker's own, and not what
 * it was while the program replays.
 */
export function createBlockingOptimizer(
  tf: typeof Tfjs,
  session: TrainingSession,
  spec: OptimizerSpec,
): BlockingOptimizer {
  class Blocking extends tf.Optimizer implements BlockingOptimizer {
    static get className(): string {
      return 'TroupeOptimizer'
    }

    readonly spec = spec
    /** Of the last `computeGradients()`. */
    #loss = NaN

    override minimize(
      f: () => Tfjs.Scalar,
      returnCost = false,
      varList?: Tfjs.Variable[],
    ): Tfjs.Scalar | null {
      // Within a step of a Layers model, the step around it is the one that is exchanged.
      if (session.computing) return super.minimize(f, returnCost, varList)
      const variables = (varList ?? registered(tf)).filter(({ trainable }) => trainable)
      const { outputs } = session.step(traineeOf(spec, variables), 1, () => {
        const value = super.minimize(f, true, variables)!
        const loss = value.dataSync()
        value.dispose()
        return loss
      })
      return returnCost ? tf.scalar(outputs[0]!) : null
    }

    override computeGradients(
      f: () => Tfjs.Scalar,
      varList?: Tfjs.Variable[],
    ): { value: Tfjs.Scalar; grads: Tfjs.NamedTensorMap } {
      const computed = super.computeGradients(f, varList)
      if (!session.computing) this.#loss = computed.value.dataSync()[0]!
      return computed
    }

    override applyGradients(gradients: Gradients): void {
      const byName = namedGradients(gradients)
      if (session.computing) session.stage(byName)
      else {
        const loss = this.#loss
        this.#loss = NaN
        session.step(traineeOf(spec, variablesOf(tf, byName)), 1, () => {
          session.stage(byName)
          return [loss]
        })
      }
      this.incrementIterations()
    }

    override getConfig(): Tfjs.serialization.ConfigDict {
      return { id: spec.id, name: spec.name, ...spec.options }
    }
  }
  const optimizer = new Blocking()
  made.add(optimizer)
  return optimizer
}

function traineeOf(optimizer: OptimizerSpec, trainable: readonly Tfjs.Variable[]): Trainee {
  return { optimizer, trainable, state: [], outputs: LOSS_OUTPUTS }
}

/** Gradients by the name of their variable; a variable that the loss does not depend on has none. */
function namedGradients(gradients: Gradients): Map<string, Tfjs.Tensor | undefined> {
  return Array.isArray(gradients)
    ? new Map(gradients.map(({ name, tensor }) => [name, tensor]))
    : new Map(Object.entries(gradients))
}

/** What `minimize` trains if it is not told: in the order of their creation. */
function registered(tf: typeof Tfjs): Tfjs.Variable[] {
  return Object.values(tf.engine().registeredVariables)
}

/** In the order of their creation: gradients by name have none that all workers must share. */
function variablesOf(tf: typeof Tfjs, gradients: ReadonlyMap<string, unknown>): Tfjs.Variable[] {
  const found = registered(tf).filter(({ name }) => gradients.has(name))
  if (found.length === gradients.size) return found
  const unknown = [...gradients.keys()].filter(name => !found.some(variable => variable.name === name))
  throw new TroupeError(
    'ERR_TRAINING_LOOP',
    `applyGradients() got gradients of what is no variable: ${unknown.join(', ')}`,
  )
}
