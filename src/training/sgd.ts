import { updateRuleOf } from './update-rule.js'

/** w -= learningRate * g (Keras `SGD` without momentum). */
export const sgd = updateRuleOf({
  learningRate: 0.01,
  options: {},
  slots: () => [],
  call: (_, learningRate) => ({ kernel: 'sgd', scalars: [Math.fround(learningRate)] }),
})
