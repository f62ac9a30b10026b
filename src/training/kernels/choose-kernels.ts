import type { Kernels } from './kernels.js'
import { PlainKernels } from './plain-kernels.js'
import { SimdKernels } from './simd-kernels.js'
import type { SharedMemory } from './web-assembly.js'

/**
 * The fastest kernels that this engine can run over a memory.
 *
 * @param scratch byte offset of {@link KERNEL_SCRATCH_BYTES} bytes, a multiple of 64, that nobody else uses while a
 * call runs
 */
export function kernels(memory: SharedMemory, scratch: number): Kernels {
  return SimdKernels.over(memory, scratch) ?? new PlainKernels(memory, scratch)
}
