import type * as Tfjs from '@tensorflow/tfjs'
import { addConvFilterGradient } from './wasm-conv.js'
import { transposeBeforeMatMul } from './wasm-matmul.js'

/** Events for which Emscripten's start code adds listeners of its own. */
const HIJACKED = ['uncaughtException', 'unhandledRejection'] as const

/**
 * Makes wasm the backend of this tfjs: one kernel thread, SIMD where the machine has it.
 *
 * Emscripten adds listeners that rethrow every uncaught error of the process; they are taken away again, since
 * an actor's failure must reach its supervisor.
 *
 * @returns whether the SIMD build is in use
 * @throws whatever made it fail
 */
export async function startWasm(tf: typeof Tfjs): Promise<{ simd: boolean }> {
  await import('@tensorflow/tfjs-backend-wasm')
  if (tf.findBackendFactory('wasm') === null) {
    throw new Error('@tensorflow/tfjs-backend-wasm registered with another copy of @tensorflow/tfjs-core')
  }
  const before = HIJACKED.map(event => process.rawListeners(event))
  try {
    if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend did not initialise')
    await tf.ready()
  } finally {
    HIJACKED.forEach((event, i) => {
      for (const listener of process.rawListeners(event)) {
        if (!before[i]?.includes(listener)) process.removeListener(event, listener as () => void)
      }
    })
  }
  transposeBeforeMatMul(tf)
  addConvFilterGradient(tf)
  return { simd: (await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')) === true }
}
