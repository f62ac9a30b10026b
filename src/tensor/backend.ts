import type * as Tfjs from '@tensorflow/tfjs'
import { describe, TroupeError } from '../errors.js'
import { BACKEND_NAMES, TFJS_BACKENDS, type BackendName } from './backend-name.js'
import { jsIsa, wasmIsa, type ComputeFingerprint } from './fingerprint.js'
import { loadNative, type NativePlaces } from './native.js'
import { addFastGradients } from './native/fast-gradients.js'
import { currentSettings, isaText, threadsText } from './native/kernel-settings.js'
import { startWasm } from './wasm.js'

/** The backend that this thread's tfjs computes on. */
export interface Backend {
  readonly name: BackendName
  /** Version of the library that computes. */
  readonly version: string
  /** Why this one: what was asked for, or what is missing for a better one. */
  readonly why: string
  readonly fingerprint: ComputeFingerprint
}

export interface SelectOptions extends NativePlaces {
  /** Take this one or fail. @default the best that loads: native, else wasm, else js */
  readonly force?: BackendName
  /** Better gradient kernels for the native backend. @default true */
  readonly fastGradients?: boolean
}

/**
 * Chooses the TensorFlow backend of this thread and starts it. Native if an installed `@tensorflow/tfjs-node-gpu`
 * or `tfjs-node` or what `troupe provision tensorflow` installed loads, else wasm, else plain JavaScript. Backends belong to a thread: call it in each.
 *
 * @throws ERR_BACKEND_UNAVAILABLE when the forced one does not load; the message says why
 */
export async function selectBackend(options: SelectOptions = {}): Promise<Backend> {
  const { force } = options
  if (force !== undefined && !BACKEND_NAMES.includes(force)) {
    const known = BACKEND_NAMES.join(', ')
    throw new TroupeError('ERR_BACKEND_UNAVAILABLE', `backend is ${describe(force)}; known: ${known}`)
  }
  const tf = await import('@tensorflow/tfjs')
  const reasons: string[] = []
  for (const name of force === undefined ? BACKEND_NAMES : [force]) {
    const attempt = await ATTEMPTS[name](tf, options)
    if (typeof attempt !== 'string') {
      const why = force === undefined ? reasons.join('; ') || 'the fastest backend loads' : 'it was asked for'
      return { name, why, ...attempt }
    }
    reasons.push(attempt)
  }
  throw new TroupeError(
    'ERR_BACKEND_UNAVAILABLE',
    `backend ${force ?? 'js'} is not available: ${reasons.join('; ')}`,
    {
      data: { backend: force ?? 'js', reasons },
    },
  )
}

type Started = Pick<Backend, 'version' | 'fingerprint'>
/** Starts a backend; a string says why it cannot be. */
type Attempt = (tf: typeof Tfjs, options: SelectOptions) => Promise<Started | string>

const ATTEMPTS: Record<BackendName, Attempt> = {
  async native(tf, options) {
    const probe = await loadNative(tf, options)
    if (!probe.found) return probe.why
    if (tf.findBackendFactory(TFJS_BACKENDS.native) === null) {
      return `${probe.from} brings another copy of @tensorflow/tfjs: install the one of version ${tf.version_core}`
    }
    if (!(await tf.setBackend(TFJS_BACKENDS.native))) return `${probe.from} did not initialise`
    const fast = options.fastGradients !== false
    if (fast) addFastGradients(tf)
    const settings = currentSettings()
    const build = `libtensorflow ${probe.tensorflow}${fast ? '' : ', stock gradients'}`
    return started(tf, 'native', probe.tensorflow, build, threadsText(settings), isaText(settings))
  },

  async wasm(tf) {
    try {
      const { simd } = await startWasm(tf)
      const { version_wasm: version } = await import('@tensorflow/tfjs-backend-wasm')
      return started(tf, 'wasm', version, `tfjs-backend-wasm ${version}`, '1', wasmIsa(simd))
    } catch (error) {
      return `wasm does not load: ${error instanceof Error ? error.message : describe(error)}`
    }
  },

  async js(tf) {
    if (!(await tf.setBackend(TFJS_BACKENDS.js))) return 'the JavaScript backend did not initialise'
    // It would print an advertisement for tfjs-node at its first tensor.
    Object.assign(tf.backend(), { firstUse: false })
    const version = tf.version_core
    return started(tf, 'js', version, `tfjs-backend-cpu ${version}`, '1', jsIsa())
  },
}

function started(
  tf: typeof Tfjs,
  backend: BackendName,
  version: string,
  build: string,
  threads: string,
  isa: string,
): Started {
  return {
    version,
    fingerprint: { backend, build, threads, isa, node: process.version, tfjs: tf.version_core },
  }
}
