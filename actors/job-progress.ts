import type { JobDone, JobEpochEnd, JobEvent, JobStarted, JobStep, ProgramNotice } from 'troupe'
import type { ClosedStep, PhaseTimes } from 'troupe/training'
import { workerName, type JobSpec } from './job-spec.js'

type Ready = Extract<ProgramNotice, { tell: 'ready' }>

/** What is known at the end. */
export interface JobOutcome {
  readonly result: unknown
  readonly weightsSha256: string
  readonly phases: readonly PhaseTimes[]
}

/** Turns what a job's actors report into its events. Times are the caller's monotonic milliseconds. */
export class JobProgress {
  readonly #spec: JobSpec
  readonly #startedAt: number
  /** Steps closed, by server. */
  readonly #closed: number[]
  #ready: Ready | undefined
  #announced = false
  /** Of each `fitDataset` call of the chief's present incarnation. */
  #extents: { epochs: number; stepsPerEpoch: number }[] = []
  #rowsPerEpoch: number | null = null
  #outputs: readonly string[] = []
  readonly #waiting: ClosedStep[] = []
  #reportedSteps = 0
  #epochsAt = 0
  #rows = 0
  #firstStepAt: number | undefined
  #lastStepAt = 0
  #restarts = 0
  readonly #failedAt = new Map<string, number>()
  #exactNote: string | null = null

  constructor(spec: JobSpec, now: number) {
    this.#spec = spec
    this.#startedAt = now
    this.#closed = new Array<number>(spec.parameterServers).fill(0)
  }

  /** Steps that every server has closed. */
  get steps(): number {
    return Math.min(...this.#closed)
  }

  get fingerprint(): Ready['fingerprint'] | undefined {
    return this.#ready?.fingerprint
  }

  ready(rank: number, notice: Ready): void {
    this.#ready ??= notice
    if (rank === 0) this.#extents = []
  }

  extent(extent: { epochs: number; stepsPerEpoch: number }): void {
    this.#extents.push(extent)
  }

  opened(index: number, rows: number): void {
    if (index === 0) this.#rowsPerEpoch = rows
  }

  /**
   * A program's first step of its own begins.
   *
   * @param outputs names of what a step returns
   */
  live(rank: number, step: number, outputs: readonly string[], now: number): JobEvent[] {
    this.#firstStepAt ??= now
    this.#outputs = outputs
    const events: JobEvent[] = []
    if (rank === 0 && !this.#announced) {
      this.#announced = true
      events.push(this.#started(), ...this.#report(now))
    }
    const name = workerName(rank)
    const failedAt = this.#failedAt.get(name)
    if (failedAt !== undefined) {
      this.#failedAt.delete(name)
      const seconds = (now - failedAt) / 1000
      events.push({ event: 'restored', actor: name, step: step + 1, replayedSteps: step, seconds })
    }
    return events
  }

  /** @returns the steps to tell of: none before the start was told */
  closed(shard: number, step: ClosedStep, now: number): JobStep[] {
    this.#closed[shard] = step.step + 1
    if (shard === 0) this.#waiting.push(step)
    return this.#report(now)
  }

  /** The steps that every server has closed, as far as they are not told yet. */
  #report(now: number): JobStep[] {
    const events: JobStep[] = []
    // What the program said before its first step takes another way than the step, and may come after it.
    if (!this.#announced) return events
    for (const { steps } = this; this.#reportedSteps < steps; this.#reportedSteps++) {
      const next = this.#waiting.shift()!
      this.#rows += next.rows
      this.#lastStepAt = now
      events.push(this.#step(next))
    }
    return events
  }

  epochEnd(notice: Extract<ProgramNotice, { tell: 'epoch' }>): JobEpochEnd[] {
    const { epoch, step, logs } = notice
    // A chief that comes back tells of the epoch again whose end was the last thing that it replayed.
    if (step <= this.#epochsAt) return []
    this.#epochsAt = step
    return [{ event: 'epochEnd', epoch, step, logs }]
  }

  failed(actor: string, reason: string, fault: { text: string; step: number } | null, now: number): JobEvent {
    this.#restarts += 1
    this.#failedAt.set(actor, now)
    const step = fault?.step ?? this.steps + 1
    return { event: 'failure', actor, reason, step, fault: fault?.text ?? null }
  }

  /** From this step on (from 0) the weights may differ from the undisturbed run's. The first note counts. */
  inexact(step: number, note: string): void {
    this.#exactNote ??= `since step ${step + 1}: ${note}`
  }

  done({ result, weightsSha256, phases }: JobOutcome, now: number): JobDone {
    const trainedMs = this.#lastStepAt - (this.#firstStepAt ?? this.#lastStepAt)
    return {
      event: 'done',
      accuracy: accuracyOf(result),
      steps: this.steps,
      seconds: (now - this.#startedAt) / 1000,
      rowsPerSecond: trainedMs > 0 ? this.#rows / (trainedMs / 1000) : 0,
      restarts: this.#restarts,
      exact: this.#exactNote === null,
      exactNote: this.#exactNote,
      weightsSha256,
      backend: this.#ready?.fingerprint.backend ?? 'none',
      phases: Object.fromEntries(phases.map((times, rank) => [workerName(rank), times])),
      result,
    }
  }

  #started(): JobStarted {
    const { name, workers, parameterServers, seed } = this.#spec
    const { fingerprint, why } = this.#ready!
    return {
      event: 'started',
      job: name,
      backend: fingerprint.backend,
      backendWhy: why,
      versions: { node: fingerprint.node, tfjs: fingerprint.tfjs, backend: fingerprint.build },
      workers,
      parameterServers,
      seed,
      totalSteps: this.#totalSteps(),
      rowsPerEpoch: this.#rowsPerEpoch,
    }
  }

  #step({ step, rows, outputs }: ClosedStep): JobStep {
    const named = this.#outputs.map((name, i) => [name, outputs[i] ?? Number.NaN] as const)
    const [loss, ...metrics] = named
    return {
      event: 'step',
      step: step + 1,
      epoch: this.#epochOf(step),
      loss: loss?.[1] ?? Number.NaN,
      metrics: Object.fromEntries(metrics),
      rows,
      totalSteps: this.#totalSteps(),
    }
  }

  #totalSteps(): number | null {
    if (this.#extents.length === 0) return null
    return this.#extents.reduce((sum, { epochs, stepsPerEpoch }) => sum + epochs * stepsPerEpoch, 0)
  }

  /** Counted over all `fitDataset` calls. */
  #epochOf(step: number): number {
    let [epoch, left] = [0, step]
    for (const { epochs, stepsPerEpoch } of this.#extents) {
      if (left < epochs * stepsPerEpoch) return epoch + Math.floor(left / stepsPerEpoch)
      epoch += epochs
      left -= epochs * stepsPerEpoch
    }
    return Math.max(0, epoch - 1)
  }
}

function accuracyOf(result: unknown): number | null {
  const accuracy = (result as { accuracy?: unknown } | null | undefined)?.accuracy
  return typeof accuracy === 'number' ? accuracy : null
}
