import { atLeast } from './optimizer-options.js'
import { updateRuleOf } from './update-rule.js'

const f = Math.fround

/** Adagrad (Duchi et al., 2011) in Keras's form: a += g * g; w -= learningRate * g / sqrt(a + epsilon). */
export const adagrad = updateRuleOf({
  learningRate: 0.001,
  options: { initialAccumulator: atLeast(0, 0.1), epsilon: atLeast(0, 1e-7) },
  slots: ({ initialAccumulator }) => [{ name: 'accumulator', initial: initialAccumulator }],
  call: ({ epsilon }, learningRate) => ({ kernel: 'adagrad', scalars: [f(learningRate), f(epsilon)] }),
})
