/**
 * What a job tells about itself, in order of happening: for the command line, `--json` lines and embedding programs.
 * Plain data: every event can be serialised as it is.
 */

import type { PhaseTimes } from '../training/step-phase.js'

/** Loss and metrics of a step or an epoch by name, as the program's user code sees them: over all ranks. */
export type Logs = Readonly<Record<string, number>>

/** Once, before the first step: what runs where. */
export interface JobStarted {
  readonly event: 'started'
  readonly job: string
  /** TensorFlow backend of the workers: `native`, `wasm` or `js`. */
  readonly backend: string
  /** Why this backend: it was asked for, or what is missing for a faster one. */
  readonly backendWhy: string
  /** Threads and instruction set that kernels compute with. */
  readonly compute: { readonly threads: string; readonly isa: string }
  /** Versions that results depend on: `node`, `tfjs`, `backend`. */
  readonly versions: Readonly<Record<string, string>>
  readonly workers: number
  readonly parameterServers: number
  /** How many steps workers may be apart: 0 is exact mode; null: any number. */
  readonly staleness: number | null
  readonly seed: number
  /** Steps of each worker from beginning to end, if the program said how many epochs it trains; else null. */
  readonly totalSteps: number | null
  /** Rows of the first dataset opened, if its size is known. */
  readonly rowsPerEpoch: number | null
  /** Where the job goes on; null if it begins. */
  readonly resumed: { readonly step: number; readonly checkpoint: string } | null
}

/** A step was closed by every parameter server; each is told once, also if it had to be computed again. */
export interface JobStep {
  readonly event: 'step'
  /** From 1: how many steps are closed; where workers are apart, of this one. */
  readonly step: number
  /** Whose step it is, such as `worker-1`; null in exact mode, where all make each step together. */
  readonly worker: string | null
  /** From 0; by the first dataset opened. */
  readonly epoch: number
  readonly loss: number
  readonly metrics: Logs
  /** Rows of this step over all ranks, or of its worker. */
  readonly rows: number
  /** Of each worker. */
  readonly totalSteps: number | null
}

/** An epoch of the chief's program ended: the logs that its callbacks saw. */
export interface JobEpochEnd {
  readonly event: 'epochEnd'
  readonly epoch: number
  /** How many steps were closed by then. */
  readonly step: number
  readonly logs: Logs
}

/** An actor of the job failed or was killed. */
export interface JobFailure {
  readonly event: 'failure'
  /** Name within the job: `worker-1`, `ps-0`, `feeder`, `supervisor`. */
  readonly actor: string
  readonly reason: string
  /** The step that was open for this actor, if known. */
  readonly step: number | null
  /** The fault that caused it, as given to `--kill`; null if nobody planned it. */
  readonly fault: string | null
}

/** A failed actor is back at work. */
export interface JobRestored {
  readonly event: 'restored'
  readonly actor: string
  /** Why it had gone down. */
  readonly reason: string
  /** The first step that is computed with it. */
  readonly step: number
  /** Steps that its program was taken through by the journal, without computing; 0 for an actor without. */
  readonly replayedSteps: number
  /** Steps that every worker computes again, since a parameter server had to go back to its last checkpoint. */
  readonly recomputedSteps: number
  /** From the failure to the beginning of that step. */
  readonly seconds: number
  /** Of a worker, from the failure until its new program had TensorFlow at hand; null for others. */
  readonly respawnSeconds: number | null
  /** Of a worker, within `seconds`: for the replayed steps. The rest is its program's beginning, and weights. */
  readonly replaySeconds: number | null
}

/** A checkpoint was written. */
export interface JobCheckpoint {
  readonly event: 'checkpoint'
  /** Steps that are in it; where workers are apart, those of all of them. */
  readonly step: number
  readonly generation: number
  /** Its folder. */
  readonly path: string
  readonly bytes: number
  /** From the cut to the end of writing, beside the training. */
  readonly seconds: number
}

/** A line that user code or an actor of the job logged. */
export interface JobLog {
  readonly event: 'log'
  readonly actor: string
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
}

/** The last event of a job that ended well. A job that did not rejects its `done` with the causal chain. */
export interface JobDone {
  readonly event: 'done'
  /** `accuracy` of what `main` returned on the chief; null if it returned none. */
  readonly accuracy: number | null
  /** Where workers are apart, those of all of them. */
  readonly steps: number
  /** By worker name; in exact mode all have made the same. */
  readonly workerSteps: Readonly<Record<string, number>>
  readonly seconds: number
  /** Rows trained on, over the time from the first step's begin to the last step's end. */
  readonly rowsPerSecond: number
  readonly restarts: number
  /** Whether the weights are bit-equal to those of the undisturbed run. */
  readonly exact: boolean
  /** If not exact: since which step and why. */
  readonly exactNote: string | null
  readonly weightsSha256: string
  /** Of what the optimizers keep for the weights. */
  readonly slotsSha256: string
  readonly backend: string
  /** The newest checkpoint's folder; null if none is left. */
  readonly checkpoint: string | null
  /** Where step time went, by worker name, over all its incarnations since a server was lost last. */
  readonly phases: Readonly<Record<string, PhaseTimes>>
  /** What `main` returned on the chief, if it can be serialised; else null. */
  readonly result: unknown
}

export type JobEvent =
  JobStarted | JobStep | JobEpochEnd | JobCheckpoint | JobFailure | JobRestored | JobLog | JobDone
