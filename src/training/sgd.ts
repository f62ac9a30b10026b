import type { UpdateRule } from './optimizer.js'

const f = Math.fround

/** w -= learningRate * g (Keras `SGD` without momentum). */
export const sgd: UpdateRule = {
  options: { learningRate: { default: 0.01, min: 0, below: Infinity } },
  slots: [],
  prepare(options) {
    const rate = f(options['learningRate']!)
    return (from, to, gradient) => {
      for (let i = 0; i < to.length; i++) to[i] = f(from[i]! - f(rate * gradient[i]!))
    }
  },
}
