import type * as Tfjs from '@tensorflow/tfjs'

type Weight = Tfjs.LayerVariable

interface LayerMethods {
  addWeight: (this: object, ...args: unknown[]) => Weight
}

/** A Layers model, as far as its weights go. */
interface Weighted {
  readonly weights: readonly Weight[]
  readonly collectedTrainableWeights: readonly Weight[]
}

/**
 * Tells weights that a training step writes itself, such as the statistics of a BatchNorm, from those that are merely
 * frozen: the first are made as not trainable, the others are made trainable and stay as they are.
 */
export class ModelState {
  readonly #madeTrainable = new WeakSet<Weight>()

  /** Takes note of every weight that is made from now on. */
  constructor(tf: typeof Tfjs) {
    const layers = tf.layers.Layer.prototype as unknown as LayerMethods
    const { addWeight } = layers
    const made = this.#madeTrainable
    layers.addWeight = function (...args) {
      const weight = addWeight.apply(this, args)
      if ((weight.read() as Tfjs.Variable).trainable) made.add(weight)
      return weight
    }
  }

  /** Weights that steps of the model write; one that was made before anybody took note counts as such. */
  of(model: Weighted): Weight[] {
    return untrained(model).filter(weight => !this.#madeTrainable.has(weight))
  }

  /** Weights that no step of the model changes. */
  frozenIn(model: Weighted): Weight[] {
    return untrained(model).filter(weight => this.#madeTrainable.has(weight))
  }
}

function untrained({ weights, collectedTrainableWeights }: Weighted): Weight[] {
  const trained = new Set(collectedTrainableWeights)
  return [...new Set(weights)].filter(weight => !trained.has(weight))
}
