import { share } from './optimizer-options.js'
import { updateRuleOf } from './update-rule.js'

const f = Math.fround
const options = { momentum: share(0.9) }
const slots = [{ name: 'velocity', initial: 0 }]

/** v = momentum * v - learningRate * g; w += v (Keras `SGD` with momentum). */
export const momentum = updateRuleOf({
  learningRate: 0.01,
  options,
  slots: () => slots,
  call: ({ momentum }, learningRate) => ({ kernel: 'momentum', scalars: [f(learningRate), f(momentum)] }),
})

/** v = momentum * v - learningRate * g; w += momentum * v - learningRate * g (Keras `SGD` with `nesterov`). */
export const nesterov = updateRuleOf({
  learningRate: 0.01,
  options,
  slots: () => slots,
  call: ({ momentum }, learningRate) => ({ kernel: 'nesterov', scalars: [f(learningRate), f(momentum)] }),
})
