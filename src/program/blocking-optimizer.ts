import type * as Tfjs from '@tensorflow/tfjs'
import { TroupeError } from '../errors.js'
import type { OptimizerSpec } from '../training/index.js'
import type { Trainee, TrainingSession } from './training-session.js'

type Gradients = Tfjs.NamedTensorMap | { readonly name: string; readonly tensor: Tfjs.Tensor }[]

/** Loss of a plain `minimize` loop, in the journal and in progress. */
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

    override minimize(
      f: () => Tfjs.Scalar,
      returnCost = false,
      varList?: Tfjs.Variable[],
    ): Tfjs.Scalar | null {
      // Within a step of a Layers model, the step around it is the one that is exchanged.
      if (session.computing) return super.minimize(f, returnCost, varList)
      const variables = varList ?? trainableVariables(tf)
      const trainee: Trainee = { optimizer: spec, trainable: variables, state: [], outputs: LOSS_OUTPUTS }
      const { outputs } = session.step(trainee, 1, () => {
        const value = super.minimize(f, true, variables)!
        const loss = value.dataSync()
        value.dispose()
        return loss
      })
      return returnCost ? tf.scalar(outputs[0]!) : null
    }

    override applyGradients(gradients: Gradients): void {
      if (!session.computing) {
        throw new TroupeError(
          'ERR_TRAINING_LOOP',
          'applyGradients() was called outside of minimize(): the gradients were not computed on the weights of a step',
        )
      }
      session.stage(
        Array.isArray(gradients) ? gradients.map(({ tensor }) => tensor) : Object.values(gradients),
      )
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

/** What `minimize` trains if it is not told: in the order of their creation. */
function trainableVariables(tf: typeof Tfjs): Tfjs.Variable[] {
  return Object.values(tf.engine().registeredVariables).filter(variable => variable.trainable)
}
