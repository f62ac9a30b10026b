import type { BackendName, KillSpec } from 'troupe'

/** A job as its actors know it: plain data. */
export interface JobSpec {
  readonly name: string
  /** URL of the module that exports the definition as default. */
  readonly module: string
  readonly args: Readonly<Record<string, unknown>>
  readonly workers: number
  readonly parameterServers: number
  readonly seed: number
  /** Absent: the best that loads. */
  readonly backend?: BackendName
  readonly kills: readonly KillSpec[]
}

/** Of a job that has not rolled back. */
export const FIRST_GENERATION = 1

/** For asks whose answer takes as long as user code does; the death of either side settles them. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1

export function workerName(rank: number): string {
  return `worker-${rank}`
}

export function serverName(shard: number): string {
  return `ps-${shard}`
}
