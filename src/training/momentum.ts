import type { UpdateRule } from './optimizer.js'

const f = Math.fround

/** v = momentum * v - learningRate * g; w += v (Keras `SGD` with momentum). */
export const momentum: UpdateRule = {
  options: {
    learningRate: { default: 0.01, min: 0, below: Infinity },
    momentum: { default: 0.9, min: 0, below: 1 },
  },
  slots: ['velocity'],
  prepare(options) {
    const rate = f(options['learningRate']!)
    const keep = f(options['momentum']!)
    return (from, to, gradient, [velocity]) => {
      for (let i = 0; i < to.length; i++) {
        const v = f(f(keep * velocity![i]!) - f(rate * gradient[i]!))
        velocity![i] = v
        to[i] = f(from[i]! + v)
      }
    }
  },
}
