import type { BackendName } from './backend-name.js'
import { settingsOf, type KernelSettings } from './native/kernel-settings.js'

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

/**
 * Which fields differ, each as `name: ours -> theirs`; empty when results may be compared bit by bit.
 */
export function fingerprintDifferences(ours: ComputeFingerprint, theirs: ComputeFingerprint): string[] {
  const fields: (keyof ComputeFingerprint)[] = ['backend', 'build', 'threads', 'isa', 'node', 'tfjs']
  return fields
    .filter(field => ours[field] !== theirs[field])
    .map(field => `${field}: ${ours[field]} -> ${theirs[field]}`)
}

/** What the kernels were set to that computed this; undefined if they were not native ones. */
export function kernelSettingsOf({ backend, threads, isa }: ComputeFingerprint): KernelSettings | undefined {
  return backend === 'native' ? settingsOf(threads, isa) : undefined
}
