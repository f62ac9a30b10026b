import type * as Tfjs from '@tensorflow/tfjs'
import { addNativeKernel, NATIVE, replaceGradient } from '../native-ops.js'

const KERNEL = 'TroupeReluGrad'

/**
 * The gradient of relu by TensorFlow's own op. tfjs makes it of a comparison, a selection, a check for NaN, a fill and
 * two products. It keeps the output, which relu has anyway, instead of the input: they are above zero at the same
 * places.
 */
export function addReluGradient(tf: typeof Tfjs): void {
  addNativeKernel(tf, KERNEL, (ops, attributes, { inputs: { dy, y } }) =>
    ops.executeSingleOutput('ReluGrad', [attributes.float32()], [dy!, y!]),
  )
  replaceGradient(tf, 'Relu', stock => ({
    kernelName: 'Relu',
    outputsToSave: [true],
    gradFunc: (dy, saved, attrs) => {
      const [y] = saved as [Tfjs.Tensor]
      if (tf.getBackend() !== NATIVE || y.dtype !== 'float32') return stock.gradFunc(dy, saved, attrs)
      return { x: () => tf.engine().runKernel<Tfjs.Tensor>(KERNEL, { dy: dy as Tfjs.Tensor, y }) }
    },
  }))
}
