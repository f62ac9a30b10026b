import { atLeast, flag, share } from './optimizer-options.js'
import { updateRuleOf } from './update-rule.js'

const f = Math.fround

/**
 * RMSprop (Hinton, 2012) in Keras's form: s = rho * s + (1 - rho) * g * g; d = learningRate * g / sqrt(s + epsilon);
 * w -= d. Centered: c = rho * c + (1 - rho) * g, and s - c * c stands for s in d. With momentum:
 * v = momentum * v + d; w -= v.
 */
export const rmsprop = updateRuleOf({
  learningRate: 0.001,
  options: { rho: share(0.9), momentum: share(0), epsilon: atLeast(0, 1e-7), centered: flag(false) },
  slots: ({ centered, momentum }) => [
    { name: 'meanSquare', initial: 0 },
    ...(centered ? [{ name: 'meanGradient', initial: 0 }] : []),
    ...(momentum > 0 ? [{ name: 'velocity', initial: 0 }] : []),
  ],
  call: ({ rho, momentum, epsilon, centered }, learningRate) => {
    const scalars = [f(learningRate), f(rho), f(1 - rho), f(epsilon)]
    if (momentum > 0) {
      return {
        kernel: centered ? 'rmspropCenteredMomentum' : 'rmspropMomentum',
        scalars: [...scalars, f(momentum)],
      }
    }
    return { kernel: centered ? 'rmspropCentered' : 'rmsprop', scalars }
  },
})
