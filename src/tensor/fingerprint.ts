import { availableParallelism, cpus } from 'node:os'
import type { BackendName } from './backend-name.js'

/** All that the bits of a result depend on, beside the program, its data and its seed. */
export interface ComputeFingerprint {
  readonly backend: BackendName
  /** The library that computes, and its version. */
  readonly build: string
  /** Threads that a kernel is spread over. */
  readonly threads: string
  /** Instruction set, or what caps it. */
  readonly isa: string
  readonly node: string
  readonly tfjs: string
}

/** The wasm kernels choose other code on x86 than on ARM, so the machine's architecture belongs to the set. */
export function wasmIsa(simd: boolean): string {
  return `${simd ? 'wasm-simd128' : 'wasm'}/${process.arch}`
}

export function jsIsa(): string {
  return `v8/${process.arch}`
}

/** TensorFlow and oneDNN read these once, when they are loaded. */
export function nativeThreads(env: NodeJS.ProcessEnv = process.env): string {
  const intra = env['TF_NUM_INTRAOP_THREADS'] ?? `cores=${availableParallelism()}`
  const inter = env['TF_NUM_INTEROP_THREADS'] ?? `cores=${availableParallelism()}`
  return `intra ${intra}, inter ${inter}`
}

export function nativeIsa(env: NodeJS.ProcessEnv = process.env): string {
  const cap = env['ONEDNN_MAX_CPU_ISA'] ?? `uncapped on ${cpus()[0]?.model ?? process.arch}`
  return `onednn ${env['TF_ENABLE_ONEDNN_OPTS'] ?? 'default'}, ${cap}`
}

/**
 * Which fields differ, each as `name: ours -> theirs`; empty when results may be compared bit by bit.
 */
export function fingerprintDifferences(ours: ComputeFingerprint, theirs: ComputeFingerprint): string[] {
  const fields: (keyof ComputeFingerprint)[] = ['backend', 'build', 'threads', 'isa', 'node', 'tfjs']
  return fields
    .filter(field => ours[field] !== theirs[field])
    .map(field => `${field}: ${ours[field]} -> ${theirs[field]}`)
}
