import { atLeast } from './optimizer-options.js'
import { updateRuleOf } from './update-rule.js'

const f = Math.fround

/** The power for which roots do: its own kernel, many times faster. */
const ROOT = -0.5

/**
 * FTRL (McMahan et al., 2013) in Keras's form, with p = -learningRatePower: h = g + 2 * l2Shrinkage * w;
 * b = a + g * g; z += h - (b^p - a^p) / learningRate * w;
 * w = (min(max(z, -l1), l1) - z) / (b^p / learningRate + 2 * (l2 + beta / (2 * learningRate))); a = b.
 */
export const ftrl = updateRuleOf({
  learningRate: 0.001,
  options: {
    learningRatePower: { kind: 'number', default: ROOT, max: 0, below: Infinity },
    initialAccumulator: atLeast(0, 0.1),
    l1: atLeast(0, 0),
    l2: atLeast(0, 0),
    l2Shrinkage: atLeast(0, 0),
    beta: atLeast(0, 0),
  },
  slots: ({ initialAccumulator }) => [
    { name: 'accumulator', initial: initialAccumulator },
    { name: 'linear', initial: 0 },
  ],
  call: ({ learningRatePower, l1, l2, l2Shrinkage, beta }, learningRate) => {
    const rate = f(learningRate)
    const scalars = [rate, f(l1), f(2 * (l2 + beta / (2 * learningRate))), f(2 * l2Shrinkage)]
    return learningRatePower === ROOT
      ? { kernel: 'ftrl', scalars }
      : { kernel: 'ftrlPower', scalars: [...scalars, f(-learningRatePower)] }
  },
})
