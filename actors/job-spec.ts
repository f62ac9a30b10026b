import type { BackendName, ComputeFingerprint, KernelSettings, KillSpec, ServerIsolation } from 'troupe'
import type { JobFacts } from 'troupe/training'

/** A job as its actors know it: plain data. */
export interface JobSpec {
  readonly name: string
  /** Names this run of the job, among all of this process. */
  readonly run: string
  /** URL of the module that exports the definition as default. */
  readonly module: string
  /** SHA-256 of that module's text; null if it could not be read. */
  readonly moduleSha256: string | null
  readonly args: Readonly<Record<string, unknown>>
  readonly workers: number
  readonly parameterServers: number
  /** How many steps workers may be apart: 0 is exact mode; Infinity: any number. */
  readonly staleness: number
  readonly seed: number
  /** Absent: the best that loads. */
  readonly backend?: BackendName
  /** What native kernels are set to, wherever a worker is placed. Absent: what its machine chooses. */
  readonly kernels?: KernelSettings
  readonly kills: readonly KillSpec[]
  readonly checkDeterminism?: boolean
  /** @default 1,000,000 */
  readonly journalMaxSteps?: number
  /** Absent: one from the first failure on. */
  readonly spareThreads?: number
  /** @default 'inline' */
  readonly serverIsolation?: ServerIsolation
  readonly checkpoints: CheckpointPlan
}

/** Where and how often checkpoints are written. */
export interface CheckpointPlan {
  /** The name of the place. */
  readonly place: string
  /** For the job's own failures only: removed when it ends. */
  readonly temporary: boolean
  /** After each so many steps; else by time. */
  readonly everySteps: number | null
  readonly intervalMs: number
  readonly keepLast: number
  /** Go on from the newest one there, instead of beginning. */
  readonly resume: boolean
}

/** A checkpoint from which a job goes on. */
export interface ResumePoint {
  readonly generation: number
  /** Of the version that was cut. */
  readonly step: number
  /** Steps made: of each worker, or in exact mode one number for all. */
  readonly steps: readonly number[]
  /** Its folder, for people. */
  readonly path: string
  /** Why the weights may not be those of an undisturbed run; null where nothing speaks against it. */
  readonly inexact: string | null
  /** Of the machine that computed until then, if it is known. */
  readonly fingerprint: ComputeFingerprint | null
  /** Newer ones that cannot be used, and why. */
  readonly skipped: readonly string[]
}

/** Of a server that holds nothing. */
export const NO_GENERATION = 0

/** Of a job that has not rolled back. */
export const FIRST_GENERATION = 1

/** For asks whose answer takes as long as user code does; the death of either side settles them. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1
export const PATIENT = { timeoutMs: NO_TIMEOUT_MS } as const

/** How a job is called in which workers may be apart; undefined in exact mode. */
export function asynchrony({ staleness }: Pick<JobSpec, 'staleness'>): string | undefined {
  return staleness === 0 ? undefined : `async, staleness ${staleness}`
}

export const SUPERVISOR = 'supervisor'
export const FEEDER = 'feeder'
export const CHECKPOINTER = 'checkpointer'

export function workerName(rank: number): string {
  return `worker-${rank}`
}

export function serverName(shard: number): string {
  return `ps-${shard}`
}

/** Beside the supervisor: it outlives that. */
export function chaosPath(jobPath: string): string {
  return `${jobPath}${CHAOS_SUFFIX}`
}

export const CHAOS_SUFFIX = '-chaos'

export function jobFacts({ name, workers, seed, moduleSha256, args }: JobSpec): JobFacts {
  return { name, workers, seed, moduleSha256, args }
}
