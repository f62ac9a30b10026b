import {
  fingerprintDifferences,
  type ComputeFingerprint,
  type JobDone,
  type JobEpochEnd,
  type JobEvent,
  type JobStarted,
  type JobStep,
  type ProgramNotice,
} from 'troupe'
import type { ClosedStep, PhaseTimes } from 'troupe/training'
import { beginning, type ProgressState } from './progress-state.js'
import { asynchrony, serverName, workerName, type JobSpec, type ResumePoint } from './job-spec.js'
import { StepTally } from './step-tally.js'

type Live = Extract<ProgramNotice, { tell: 'live' }>

/** What is known at the end. */
export interface JobOutcome {
  readonly result: unknown
  readonly weightsSha256: string
  readonly slotsSha256: string
  readonly phases: readonly PhaseTimes[]
  readonly checkpoint: string | null
}

/** Turns what a job's actors report into its events. Times are the caller's monotonic milliseconds. */
export class JobProgress {
  readonly #spec: JobSpec
  readonly #resume: ResumePoint | null
  /** Its folder, which has another name once its generation is closed. */
  #resumedFrom: string
  readonly #state: ProgressState
  readonly #tally: StepTally
  /** Steps that were made when everybody went on from a checkpoint last. */
  #restoredAt: number
  #lastStepAtMs = 0

  /** @param state of who told before */
  constructor(spec: JobSpec, resume: ResumePoint | null, now: number, state?: ProgressState) {
    this.#spec = spec
    this.#resume = resume
    this.#resumedFrom = resume?.path ?? ''
    const first = resume?.steps ?? new Array<number>(spec.staleness > 0 ? spec.workers : 1).fill(0)
    const notes = [asynchrony(spec), resume?.inexact].filter(note => typeof note === 'string')
    this.#state = state ?? beginning(first, now, notes.length > 0 ? notes.join('; ') : null)
    this.#tally = new StepTally(spec.parameterServers, first, this.#state.told)
    this.#restoredAt = this.#tally.steps
    this.#lastStepAtMs = now
  }

  get state(): ProgressState {
    return this.#state
  }

  /** Steps that every server has closed; where workers are apart, those of all of them. */
  get steps(): number {
    return this.#tally.steps
  }

  resumesFrom(path: string): void {
    this.#resumedFrom = path
  }

  /** What a worker's program said. */
  heard(rank: number, notice: ProgramNotice, now: number): JobEvent[] {
    switch (notice.tell) {
      case 'ready':
        this.#compareFingerprint(rank, notice.fingerprint)
        this.#state.ready ??= notice
        this.#respawned(workerName(rank), now)
        if (rank === 0) this.#state.extents = []
        return []
      case 'extent':
        this.#state.extents.push(notice)
        return []
      case 'opened':
        if (notice.index === 0) this.#state.rowsPerEpoch = notice.rows
        return []
      case 'live':
        return this.#live(rank, notice, now)
      case 'epoch':
        // Where workers are apart each has its own.
        return rank === 0 ? this.#epochEnd(notice) : []
      case 'log':
        return [{ event: 'log', actor: workerName(rank), level: notice.level, message: notice.message }]
      case 'returned':
      case 'failed':
        return []
    }
  }

  /** @param outputs names of what a step of this part of the model returns */
  joined(part: number, outputs: readonly string[]): void {
    this.#state.outputs[part] = outputs
  }

  /** A program's first step of its own begins. */
  #live(rank: number, { step, replayMs }: Live, now: number): JobEvent[] {
    const state = this.#state
    state.firstStepAtMs ??= now
    const events: JobEvent[] = []
    if (rank === 0 && !state.announced) {
      state.announced = true
      events.push(this.#started(), ...this.#report(now))
    }
    events.push(...this.back(workerName(rank), step, step, now, replayMs))
    // The servers were ready before; now everybody goes on with them.
    const servers = rank === 0 ? this.#spec.parameterServers : 0
    for (let shard = 0; shard < servers; shard++) {
      events.push(...this.back(serverName(shard), this.#restoredAt, 0, now))
    }
    return events
  }

  #respawned(actor: string, now: number): void {
    const down = this.#state.down[actor]
    if (down !== undefined) down.respawnedAtMs = now
  }

  /**
   * An actor works again.
   *
   * @param step steps made before the first one with it
   * @param replayed how many of them its program was taken through
   * @param replayMs how long that took; null for an actor without a program
   */
  back(
    actor: string,
    step: number,
    replayed: number,
    now: number,
    replayMs: number | null = null,
  ): JobEvent[] {
    const down = this.#state.down[actor]
    if (down === undefined) return []
    delete this.#state.down[actor]
    const seconds = (now - down.atMs) / 1000
    const recomputedSteps = actor.startsWith('ps-') ? Math.max(0, down.steps - step) : 0
    const { reason, atMs, respawnedAtMs } = down
    return [
      {
        event: 'restored',
        actor,
        reason,
        step: step + 1,
        replayedSteps: replayed,
        recomputedSteps,
        seconds,
        respawnSeconds: respawnedAtMs === undefined ? null : (respawnedAtMs - atMs) / 1000,
        replaySeconds: replayMs === null ? null : replayMs / 1000,
      },
    ]
  }

  /** A planned kill of this actor is told of: its restart is no news. */
  expect(actor: string): void {
    const { expected } = this.#state
    expected[actor] = (expected[actor] ?? 0) + 1
  }

  /** Was its kill told of? Once for each. */
  expected(actor: string): boolean {
    const { expected } = this.#state
    const count = expected[actor] ?? 0
    if (count === 0) return false
    expected[actor] = count - 1
    return true
  }

  /** The workers that are started next take nobody's place. */
  expectNoWorkers(): void {
    for (let rank = 0; rank < this.#spec.workers; rank++) delete this.#state.expected[workerName(rank)]
  }

  /** @returns the steps to tell of: none before the start was told */
  closed(shard: number, step: ClosedStep, now: number): JobStep[] {
    const before = this.#tally.close(shard, step)
    if (before !== undefined && this.#spec.staleness === 0) this.#compare(before, step)
    return this.#report(now)
  }

  /** Everything starts again from these steps, as servers count them: what they say of later ones is new. */
  rolledBack(steps: readonly number[]): void {
    this.#tally.rolledBack(steps)
    this.#restoredAt = this.#tally.steps
  }

  /**
   * The steps that server 0 is to be asked for by who takes up where another stopped, by their first.
   *
   * @param kept of exact mode: from there on steps may be computed again, and are compared
   */
  adoptsFrom(kept: number): readonly number[] {
    const { told } = this.#state
    return this.#spec.staleness > 0 ? told : [Math.min(told[0]!, kept)]
  }

  /** Takes up where who told before stopped; see {@link StepTally.adopt}. */
  adopt(closed: readonly (readonly number[])[], steps: readonly ClosedStep[], now: number): JobStep[] {
    this.#tally.adopt(closed, steps)
    return this.#report(now)
  }

  /** A checkpoint of these steps is there: steps before them are not computed again. */
  kept(steps: readonly number[]): void {
    this.#tally.kept(steps)
  }

  /** The steps that every server has closed, as far as they are not told yet. */
  #report(now: number): JobStep[] {
    const events: JobStep[] = []
    // What the program said before its first step takes another way than the step, and may come after it.
    if (!this.#state.announced) return events
    for (const step of this.#tally.tell()) {
      this.#state.rows += step.rows
      this.#lastStepAtMs = now
      events.push(this.#step(step))
    }
    return events
  }

  /** A step that was computed before must come out the same. */
  #compare(before: ClosedStep, step: ClosedStep): void {
    const same =
      before.rows === step.rows &&
      before.outputs.length === step.outputs.length &&
      before.outputs.every((value, i) => Object.is(value, step.outputs[i]))
    if (!same) this.inexact(step.step, `step ${step.step + 1} was computed again with another result`)
  }

  #epochEnd(notice: Extract<ProgramNotice, { tell: 'epoch' }>): JobEpochEnd[] {
    const { epoch, step, logs } = notice
    // A chief that comes back tells of the epoch again whose end was the last thing that it replayed.
    if (step <= this.#state.epochsAt) return []
    this.#state.epochsAt = step
    return [{ event: 'epochEnd', epoch, step, logs }]
  }

  /** @param step the open one, counted from 1, if it is known better than here */
  failed(
    actor: string,
    reason: string,
    fault: string | null,
    now: number,
    step = this.#openStep(actor),
  ): JobEvent {
    this.#state.restarts += 1
    this.#state.down[actor] ??= { atMs: now, reason, steps: this.#tally.furthest }
    return { event: 'failure', actor, reason, step, fault }
  }

  /** Of a worker its own, where workers are apart; else the one that comes after all that are made. */
  #openStep(actor: string): number {
    const { staleness, workers } = this.#spec
    const rank = Array.from({ length: workers }, (_, each) => workerName(each)).indexOf(actor)
    return staleness > 0 && rank >= 0 ? this.#tally.open(rank) : this.#tally.furthest + 1
  }

  /** From this step on (from 0) the weights may differ from the undisturbed run's. The first note counts. */
  inexact(step: number, note: string): void {
    this.#state.exactNote ??= `since step ${step + 1}: ${note}`
  }

  done({ result, weightsSha256, slotsSha256, phases, checkpoint }: JobOutcome, now: number): JobDone {
    const { startedAtMs, firstStepAtMs, restarts, exactNote, ready, rows } = this.#state
    const trainedMs = this.#lastStepAtMs - (firstStepAtMs ?? this.#lastStepAtMs)
    return {
      event: 'done',
      accuracy: accuracyOf(result),
      steps: this.steps,
      workerSteps: this.#workerSteps(),
      seconds: (now - startedAtMs) / 1000,
      rowsPerSecond: trainedMs > 0 ? rows / (trainedMs / 1000) : 0,
      restarts,
      exact: exactNote === null,
      exactNote,
      weightsSha256,
      slotsSha256,
      backend: ready?.fingerprint.backend ?? 'none',
      checkpoint,
      phases: Object.fromEntries(phases.map((times, rank) => [workerName(rank), times])),
      result,
    }
  }

  #workerSteps(): Record<string, number> {
    const { staleness, workers } = this.#spec
    const steps = (rank: number): number => this.#tally.closed(staleness > 0 ? rank : 0)
    return Object.fromEntries(Array.from({ length: workers }, (_, rank) => [workerName(rank), steps(rank)]))
  }

  /** Of the first program here, or before the break. */
  #compareFingerprint(rank: number, fingerprint: ComputeFingerprint): void {
    const first = this.#state.ready?.fingerprint ?? this.#resume?.fingerprint
    if (first === undefined || first === null) return
    const differences = fingerprintDifferences(first, fingerprint)
    if (differences.length === 0) return
    this.inexact(this.steps, `${workerName(rank)} computes otherwise: ${differences.join('; ')}`)
  }

  #started(): JobStarted {
    const { name, workers, parameterServers, staleness, seed } = this.#spec
    const { fingerprint, why } = this.#state.ready!
    return {
      event: 'started',
      job: name,
      backend: fingerprint.backend,
      backendWhy: why,
      compute: { threads: fingerprint.threads, isa: fingerprint.isa },
      versions: { node: fingerprint.node, tfjs: fingerprint.tfjs, backend: fingerprint.build },
      workers,
      parameterServers,
      staleness: Number.isFinite(staleness) ? staleness : null,
      seed,
      totalSteps: this.#totalSteps(),
      rowsPerEpoch: this.#state.rowsPerEpoch,
      resumed: this.#resume === null ? null : { step: this.#resume.step, checkpoint: this.#resumedFrom },
    }
  }

  #step({ step, rank, part, rows, outputs }: ClosedStep): JobStep {
    const named = (this.#state.outputs[part] ?? []).map(
      (name, i) => [name, outputs[i] ?? Number.NaN] as const,
    )
    const [loss, ...metrics] = named
    return {
      event: 'step',
      step: step + 1,
      worker: rank === null ? null : workerName(rank),
      epoch: this.#epochOf(step),
      loss: loss?.[1] ?? Number.NaN,
      metrics: Object.fromEntries(metrics),
      rows,
      totalSteps: this.#totalSteps(),
    }
  }

  #totalSteps(): number | null {
    const { extents } = this.#state
    if (extents.length === 0) return null
    return extents.reduce((sum, { epochs, stepsPerEpoch }) => sum + epochs * stepsPerEpoch, 0)
  }

  /** Counted over all training calls. */
  #epochOf(step: number): number {
    let [epoch, left] = [0, step]
    for (const { epochs, stepsPerEpoch } of this.#state.extents) {
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
