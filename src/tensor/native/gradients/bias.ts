import type * as Tfjs from '@tensorflow/tfjs'
import { addNativeKernel, NATIVE, replaceGradient } from '../native-ops.js'

const KERNEL = 'TroupeBiasAddGrad'

/** The gradient of a bias, one value for each of the last dimension: one op, where tfjs sums and reshapes. */
export function addBiasGradient(tf: typeof Tfjs): void {
  addNativeKernel(tf, KERNEL, (ops, attributes, { inputs: { dy } }) =>
    ops.executeSingleOutput(
      'BiasAddGrad',
      [attributes.float32(), attributes.text('data_format', 'NHWC')],
      [dy!],
    ),
  )
  replaceGradient(tf, 'Add', stock => ({
    ...stock,
    gradFunc: (dy, saved, attrs) => {
      const gradients = stock.gradFunc(dy, saved, attrs)
      const [a, b] = saved as [Tfjs.Tensor, Tfjs.Tensor]
      const sum = dy as Tfjs.Tensor
      if (tf.getBackend() !== NATIVE || sum.dtype !== 'float32') return gradients
      const ofBias = (): Tfjs.Tensor => tf.engine().runKernel<Tfjs.Tensor>(KERNEL, { dy: sum })
      if (isBias(b, a, sum)) return { ...gradients, b: ofBias }
      if (isBias(a, b, sum)) return { ...gradients, a: ofBias }
      return gradients
    },
  }))
}

/** Was `bias` added to each row of `rows`? */
function isBias(bias: Tfjs.Tensor, rows: Tfjs.Tensor, sum: Tfjs.Tensor): boolean {
  return (
    bias.rank === 1 &&
    sum.rank > 1 &&
    bias.size === sum.shape.at(-1) &&
    rows.rank === sum.rank &&
    rows.shape.every((size, axis) => size === sum.shape[axis])
  )
}
