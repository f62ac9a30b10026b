import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { isMainThread } from 'node:worker_threads'

/**
 * What decides how TensorFlow's kernels compute. They change the bits of results, so a job chooses them once and takes
 * them along wherever its workers are placed later.
 */
export interface KernelSettings {
  /** Threads that one kernel is spread over. */
  readonly intraOpThreads: number
  /** Kernels of a graph that may run at once. */
  readonly interOpThreads: number
  /** The newest instructions that kernels may use. */
  readonly isa: KernelIsa
  /** Kernels of oneDNN where there are some; TensorFlow's own default depends on the processor. */
  readonly oneDnn: boolean
}

/** As oneDNN calls them, from the oldest on; each includes those before. */
export const KERNEL_ISAS = ['SSE41', 'AVX', 'AVX2', 'AVX512_CORE'] as const

export type KernelIsa = (typeof KERNEL_ISAS)[number]

/** What a processor has to say for itself in /proc/cpuinfo to have each of them. */
const FLAGS: Record<KernelIsa, readonly string[]> = {
  SSE41: [],
  AVX: ['avx'],
  AVX2: ['avx2', 'fma'],
  AVX512_CORE: ['avx512f', 'avx512bw', 'avx512vl', 'avx512dq'],
}

/** The newest that a processor has which names these flags. */
export function newestIsa(flags: ReadonlySet<string>): KernelIsa {
  return KERNEL_ISAS.findLast(isa => FLAGS[isa].every(flag => flags.has(flag))) ?? KERNEL_ISAS[0]
}

/** Of this machine; the oldest if it does not say. */
export function machineIsa(cpuinfo: string = readCpuinfo()): KernelIsa {
  const line = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? ''
  return newestIsa(new Set(line.trim().split(/\s+/)))
}

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}

/** What TensorFlow and oneDNN read, once, when they are loaded. */
const VARIABLES = {
  intraOpThreads: 'TF_NUM_INTRAOP_THREADS',
  interOpThreads: 'TF_NUM_INTEROP_THREADS',
  isa: 'ONEDNN_MAX_CPU_ISA',
  oneDnn: 'TF_ENABLE_ONEDNN_OPTS',
} as const satisfies Record<keyof KernelSettings, string>

/**
 * What a job fixes when it starts: what the environment says, and for the rest as many threads as keep all its workers
 * within the cores, and the newest instructions of this machine.
 *
 * @param workers how many compute at once on this machine
 */
export function chooseKernelSettings(
  workers: number,
  env: NodeJS.ProcessEnv = process.env,
  cores: number = availableParallelism(),
): KernelSettings {
  const threads = Math.max(1, Math.floor(cores / Math.max(1, workers)))
  const intraOpThreads = positive(env[VARIABLES.intraOpThreads]) ?? threads
  const isa = env[VARIABLES.isa]?.toUpperCase()
  return {
    intraOpThreads,
    interOpThreads: positive(env[VARIABLES.interOpThreads]) ?? intraOpThreads,
    isa: KERNEL_ISAS.find(known => known === isa) ?? machineIsa(),
    oneDnn: env[VARIABLES.oneDnn] !== '0',
  }
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text)
  return Number.isInteger(value) && value > 0 ? value : undefined
}

/** As a fingerprint has them: `intra 1, inter 1`. */
export function threadsText({ intraOpThreads, interOpThreads }: KernelSettings): string {
  return `intra ${intraOpThreads}, inter ${interOpThreads}`
}

/** As a fingerprint has it: `AVX2, onednn on`. */
export function isaText({ isa, oneDnn }: KernelSettings): string {
  return `${isa}, onednn ${oneDnn ? 'on' : 'off'}`
}

/** The settings that these texts tell of; undefined if they are of another backend. */
export function settingsOf(threads: string, isaAndOneDnn: string): KernelSettings | undefined {
  const [, intra, inter] = /^intra (\d+), inter (\d+)$/.exec(threads) ?? []
  const [, name, oneDnn] = /^(\w+), onednn (on|off)$/.exec(isaAndOneDnn) ?? []
  const isa = KERNEL_ISAS.find(known => known === name)
  if (intra === undefined || inter === undefined || isa === undefined) return undefined
  return {
    intraOpThreads: Number(intra),
    interOpThreads: Number(inter),
    isa,
    oneDnn: oneDnn === 'on',
  }
}

/**
 * What kernels loaded now compute with: what the environment says, but nothing that this machine cannot do.
 */
export function currentSettings(env: NodeJS.ProcessEnv = process.env, cpuinfo?: string): KernelSettings {
  const settings = chooseKernelSettings(1, env)
  const machine = machineIsa(cpuinfo)
  const older = KERNEL_ISAS.indexOf(machine) < KERNEL_ISAS.indexOf(settings.isa)
  return older ? { ...settings, isa: machine } : settings
}

/** The environment of a process that is to compute with these settings. */
export function kernelEnvironment(settings: KernelSettings): Record<string, string> {
  return {
    [VARIABLES.intraOpThreads]: String(settings.intraOpThreads),
    [VARIABLES.interOpThreads]: String(settings.interOpThreads),
    [VARIABLES.isa]: settings.isa,
    [VARIABLES.oneDnn]: settings.oneDnn ? '1' : '0',
  }
}

/** Set in this process by the first job; the libraries heed no later change. */
let fixed: KernelSettings | undefined

/**
 * Gives this process its settings, before any of its threads loads TensorFlow. The first call counts, for all threads
 * and as long as the process runs: whoever needs others needs another process. Does nothing in a thread, whose
 * environment is a copy that native code does not see.
 *
 * @returns the settings that hold
 */
export function fixKernelSettings(settings: KernelSettings): KernelSettings {
  if (!isMainThread) return currentSettings()
  fixed ??= (Object.assign(process.env, kernelEnvironment(settings)), settings)
  return fixed
}
