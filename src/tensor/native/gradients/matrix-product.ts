import type * as Tfjs from '@tensorflow/tfjs'
import { addNativeKernel, NATIVE } from '../native-ops.js'

const KERNEL = 'BatchMatMul'

/**
 * Multiplies two matrices by MatMul, forwards and in the gradients of a dense layer. tfjs takes the op for batches of
 * matrices always, which is slower even for a batch of one.
 */
export function useMatrixProduct(tf: typeof Tfjs): void {
  const stock = tf.getKernel(KERNEL, NATIVE)
  tf.unregisterKernel(KERNEL, NATIVE)
  addNativeKernel(tf, KERNEL, (ops, attributes, params) => {
    const { a, b } = params.inputs as { a: Tfjs.TensorInfo; b: Tfjs.TensorInfo }
    if (a.shape.length !== 2 || b.shape.length !== 2 || a.dtype !== 'float32' || b.dtype !== 'float32') {
      const { inputs, attrs } = params
      return stock.kernelFunc({
        inputs,
        attrs,
        backend: ops,
      }) as Tfjs.TensorInfo
    }
    const { transposeA, transposeB } = params.attrs as { transposeA?: boolean; transposeB?: boolean }
    return ops.executeSingleOutput(
      'MatMul',
      [
        attributes.float32(),
        attributes.bool('transpose_a', transposeA === true),
        attributes.bool('transpose_b', transposeB === true),
      ],
      [a, b],
    )
  })
}
