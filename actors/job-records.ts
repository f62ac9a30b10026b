import { token, type Token } from 'troupe'
import { container } from 'tsyringe'
import type { ProgressState } from './progress-state.js'
import type { ResumePoint } from './job-spec.js'

/** What must outlive a job's supervisor beside what the job's other actors know: small, plain data. */
export interface JobRecord {
  /** Grows with each rollback; messages of a lower one are refused everywhere. */
  readonly generation: number
  /** A rollback to this generation was begun, and the workers have not been started since. */
  readonly rollingBack: boolean
  /** Where this run took up an earlier one; null: it began. */
  readonly resume: ResumePoint | null
  readonly progress: ProgressState
  /** What programs returned, by rank. */
  readonly results: readonly (readonly [rank: number, result: unknown])[]
}

/** Keeps the records of jobs by name of their run. A write is there once it resolves. */
export interface JobRecords {
  read(run: string): Promise<JobRecord | undefined>
  write(run: string, record: JobRecord): Promise<void>
  remove(run: string): Promise<void>
}

export const JobRecords: Token<JobRecords> = token<JobRecords>('JobRecords')

/** Records that last as long as the process: a supervisor dies here and starts again here. */
export class MemoryJobRecords implements JobRecords {
  readonly #records = new Map<string, JobRecord>()

  async read(run: string): Promise<JobRecord | undefined> {
    return structuredClone(this.#records.get(run))
  }

  async write(run: string, record: JobRecord): Promise<void> {
    this.#records.set(run, structuredClone(record))
  }

  async remove(run: string): Promise<void> {
    this.#records.delete(run)
  }
}

// A runtime may be started with other records; these stand where none were given.
container.register(JobRecords, { useValue: new MemoryJobRecords() })
