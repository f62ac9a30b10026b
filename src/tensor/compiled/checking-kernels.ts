import type * as Tfjs from '@tensorflow/tfjs'
import { TFJS_BACKENDS } from '../backend-name.js'

/**
 * Kernels of tfjs-node that read an input only to check it: that indices are within bounds. TensorFlow checks the same
 * where it computes on the processor.
 */
const CHECKING_KERNELS = ['GatherV2'] as const

/** Runs `work` with `within` around each call of such a kernel. */
export function aroundChecks<T>(
  tf: typeof Tfjs,
  within: (kernel: () => Tfjs.TensorInfo | Tfjs.TensorInfo[]) => Tfjs.TensorInfo | Tfjs.TensorInfo[],
  work: () => T,
): T {
  const kernels = CHECKING_KERNELS.flatMap(name => tf.getKernel(name, TFJS_BACKENDS.native) ?? [])
  const before = kernels.map(({ kernelFunc }) => kernelFunc)
  for (const [i, kernel] of kernels.entries()) kernel.kernelFunc = args => within(() => before[i]!(args))
  try {
    return work()
  } finally {
    for (const [i, kernel] of kernels.entries()) kernel.kernelFunc = before[i]!
  }
}
