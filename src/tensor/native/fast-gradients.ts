import type * as Tfjs from '@tensorflow/tfjs'
import { addBiasGradient } from './gradients/bias.js'
import { useMatrixProduct } from './gradients/matrix-product.js'
import { addReluGradient } from './gradients/relu.js'

const added = new WeakSet<object>()

/**
 * Gives the native backend gradients that take fewer and better ops than those of tfjs, by its public registration.
 * They are the same values up to the order in which sums are added. Does nothing the second time.
 */
export function addFastGradients(tf: typeof Tfjs): void {
  // a copy of tfjs, not its module object: that differs between import and require
  const registry = tf.engine()
  if (added.has(registry)) return
  added.add(registry)
  addReluGradient(tf)
  useMatrixProduct(tf)
  addBiasGradient(tf)
}
