import type * as Tfjs from '@tensorflow/tfjs'
import { createRequire } from 'node:module'
import { describe, TroupeError } from '../errors.js'
import { BACKEND_NAMES, TFJS_BACKENDS, type BackendName } from './backend-name.js'
import { jsIsa, nativeIsa, nativeThreads, wasmIsa, type ComputeFingerprint } from './fingerprint.js'
import { probeNative } from './native.js'
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

export interface SelectOptions {
  /** Take this one or fail. @default the best that loads: native, else wasm, else js */
  readonly force?: BackendName
  /** Where packages are looked for. @default from Troupe's own place */
  readonly require?: NodeJS.Require
}

/**
 * Chooses the TensorFlow backend of this thread and starts it. Native if an installed `@tensorflow/tfjs-node-gpu`
 * or `tfjs-node` loads, else wasm, else plain JavaScript. Backends belong to a thread: call it in each.
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
  async native(tf, { require = createRequire(import.meta.url) }) {
    const probe = probeNative(require)
    if (!probe.found) return probe.why
    if (tf.findBackendFactory(TFJS_BACKENDS.native) === null) {
      return `${probe.packageName} brings another copy of @tensorflow/tfjs: install the one of version ${tf.version_core}`
    }
    if (!(await tf.setBackend(TFJS_BACKENDS.native))) return `${probe.packageName} did not initialise`
    return started(
      tf,
      'native',
      probe.tensorflow,
      `libtensorflow ${probe.tensorflow}`,
      nativeThreads(),
      nativeIsa(),
    )
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
