import { integerPower } from './integer-power.js'
import { atLeast, flag, share, type Chosen } from './optimizer-options.js'
import { updateRuleOf, type KernelCall, type SlotSpec } from './update-rule.js'

const f = Math.fround

const options = { beta1: share(0.9), beta2: share(0.999), epsilon: atLeast(0, 1e-7), amsgrad: flag(false) }

function slots({ amsgrad }: Chosen<typeof options>): SlotSpec[] {
  return [
    { name: 'm', initial: 0 },
    { name: 'v', initial: 0 },
    ...(amsgrad ? [{ name: 'vMax', initial: 0 }] : []),
  ]
}

/** TensorFlow has the betas in float32, and 1 - beta^t is so sensitive to them that agreement needs the same. */
function call(
  { beta1, beta2, epsilon, amsgrad }: Chosen<typeof options>,
  learningRate: number,
  iteration: number,
): KernelCall {
  const power1 = f(integerPower(f(beta1), iteration))
  const power2 = f(integerPower(f(beta2), iteration))
  const alpha = f(f(f(learningRate) * f(Math.sqrt(f(1 - power2)))) / f(1 - power1))
  const scalars = [alpha, f(1 - beta1), f(1 - beta2), f(epsilon)]
  return { kernel: amsgrad ? 'amsgrad' : 'adam', scalars }
}

/**
 * Adam (Kingma & Ba, 2015) in Keras's form: alpha = learningRate * sqrt(1 - beta2^t) / (1 - beta1^t);
 * m += (1 - beta1) * (g - m); v += (1 - beta2) * (g * g - v); w -= alpha * m / (sqrt(v) + epsilon). With `amsgrad`
 * (Reddi et al., 2018) the greatest v so far stands for v in the last.
 */
export const adam = updateRuleOf({ learningRate: 0.001, options, slots, call })

/** Adam with decoupled weight decay (Loshchilov & Hutter, 2019), in Keras's form and with its default. */
export const adamw = updateRuleOf({ learningRate: 0.001, options, weightDecay: 0.004, slots, call })
