import { integerPower } from './integer-power.js'
import type { UpdateRule } from './optimizer.js'

const f = Math.fround

/**
 * Adam (Kingma & Ba, 2015) in Keras's form: alpha = learningRate * sqrt(1 - beta2^t) / (1 - beta1^t);
 * m += (1 - beta1) * (g - m); v += (1 - beta2) * (g * g - v); w -= alpha * m / (sqrt(v) + epsilon).
 */
export const adam: UpdateRule = {
  options: {
    learningRate: { default: 0.001, min: 0, below: Infinity },
    beta1: { default: 0.9, min: 0, below: 1 },
    beta2: { default: 0.999, min: 0, below: 1 },
    epsilon: { default: 1e-7, min: 0, below: Infinity },
  },
  slots: ['m', 'v'],
  prepare(options, iteration) {
    const { learningRate, beta1, beta2, epsilon } = options as Record<
      'learningRate' | 'beta1' | 'beta2' | 'epsilon',
      number
    >
    // Scalars in float64, whose + - * / and sqrt are exact to the last bit on every engine; rounded once.
    const correction = Math.sqrt(1 - integerPower(beta2, iteration)) / (1 - integerPower(beta1, iteration))
    const alpha = f(learningRate * correction)
    const gain1 = f(1 - beta1)
    const gain2 = f(1 - beta2)
    const eps = f(epsilon)
    return (from, to, gradient, [first, second]) => {
      const m = first!
      const v = second!
      for (let i = 0; i < to.length; i++) {
        const g = gradient[i]!
        const mi = f(m[i]! + f(f(g - m[i]!) * gain1))
        const vi = f(v[i]! + f(f(f(g * g) - v[i]!) * gain2))
        m[i] = mi
        v[i] = vi
        to[i] = f(from[i]! - f(f(mi * alpha) / f(f(Math.sqrt(vi)) + eps)))
      }
    }
  },
}
