import {
  Actor,
  actor,
  Args,
  CheckpointPlaces,
  handles,
  inject,
  type CheckpointFiles,
  type DeathReason,
  type DeferredReply,
  type JobEvent,
  type KillSpec,
  type ProgramNotice,
  type StartCause,
  type SupervisionOptions,
} from 'troupe'
import { GenerationFence, type ClosedStep } from 'troupe/training'
import type { CheckpointRef, WrittenCheckpoint } from './checkpointer.js'
import { CheckpointWaits } from './checkpoint-waits.js'
import { EventDesk } from './event-desk.js'
import { EventLog, type EventBatch, type EventPosition } from './event-log.js'
import { FaultPoints } from './fault-points.js'
import { JobCrew } from './job-crew.js'
import { isRepeatable, rootCause } from './job-failure.js'
import { finalState } from './job-outcome.js'
import { JobProgress } from './job-progress.js'
import { JobRecords } from './job-records.js'
import { checkUnused, findResumePoint } from './job-resume.js'
import { JobStop } from './job-stop.js'
import { ServerRoll } from './server-roll.js'
import {
  CHECKPOINTER,
  FIRST_GENERATION,
  jobFacts,
  PATIENT,
  serverName,
  SUPERVISOR,
  type JobSpec,
  type ResumePoint,
} from './job-spec.js'
import { isLoss } from './loss.js'
import type { ServerState } from './server-state.js'
import { RecoveryPatience } from './recovery-patience.js'

/** Events that wait for the job's handle; it reads them as they come. */
const MAX_EVENTS = 10_000

/**
 * Runs a job: starts its servers, feeder, checkpointer and workers, starts failed ones again, takes everybody back to
 * the last checkpoint when a server is lost, and tells what happens. Its own failure is the job's; killed, it is
 * started again and takes over what goes on meanwhile.
 */
@actor('job-supervisor', { module: import.meta.url })
export class JobSupervisor extends Actor {
  static readonly supervision: SupervisionOptions = {
    decide: error => (isRepeatable(error) ? 'escalate' : 'restart'),
  }

  readonly #spec: JobSpec
  readonly #records: JobRecords
  readonly #files: CheckpointFiles
  readonly #events: EventDesk<JobEvent>
  readonly #faults: FaultPoints
  readonly #waits = new CheckpointWaits(this.ctx, step => this.#known.cutNow(this.#generation, step))
  #progress: JobProgress
  #crew: JobCrew | undefined
  #resume: ResumePoint | null = null
  #generation = FIRST_GENERATION
  #results = new Map<number, unknown>()
  readonly #roll = new ServerRoll()
  /** Until everybody is where they should be. */
  #recovering = true
  readonly #patience = new RecoveryPatience()
  /** Workers are not started again until everything stands at one step. */
  #rollingBack = false
  #newest: WrittenCheckpoint | CheckpointRef | null = null
  readonly #stop: JobStop

  constructor(
    @inject(Args) spec: JobSpec,
    @inject(JobRecords) records: JobRecords,
    @inject(CheckpointPlaces) places: CheckpointPlaces,
  ) {
    super()
    this.#spec = spec
    this.#records = records
    this.#files = places.open(spec.checkpoints.place)
    this.#events = new EventDesk(
      new EventLog(this.ctx.incarnation, MAX_EVENTS),
      ({ event }) => event === 'done',
    )
    this.#progress = new JobProgress(spec, null, this.ctx.clock.monotonic())
    this.#faults = new FaultPoints(this.ctx, spec, this.ctx.selfAs(JobSupervisor))
    this.#stop = new JobStop(this.ctx, {
      checkpoint: () => this.#lastCut(),
      abort: () => this.#known.abort(),
      warn: message => this.#warn(message),
    })
  }

  override async onStart(cause: StartCause): Promise<void> {
    const spec = this.#spec
    const now = this.ctx.clock.monotonic()
    const record = await this.#records.read(spec.run)
    if (record === undefined) {
      const { resume, temporary } = spec.checkpoints
      if (resume) {
        this.#resume = await findResumePoint(this.#files, jobFacts(spec), spec)
        this.#generation = this.#resume.generation + 1
        this.#progress = new JobProgress(spec, this.#resume, now)
      } else if (!temporary) await checkUnused(this.#files)
    } else {
      this.#resume = record.resume
      this.#progress = new JobProgress(spec, record.resume, now, record.progress)
      this.#generation = record.generation
      this.#rollingBack = record.rollingBack
      this.#results = new Map(record.results)
    }
    const crew = await JobCrew.gather(this.ctx, this.ctx.selfAs(JobSupervisor), spec, this.#resume)
    this.#crew = crew
    crew.checkpointer.tell.lead(this.ctx.incarnation, this.#generation)
    // Behind what was told while there was no supervisor.
    this.ctx.selfAs(JobSupervisor).tell.begin(record === undefined ? null : cause)
  }

  /** @param cause of a supervisor that takes a job over; null for one that starts it */
  @handles() begin(cause: StartCause | null): void {
    if (cause?.kind === 'restarted') this.restarted(SUPERVISOR, cause.reason)
    this.#recover(cause === null ? this.#start() : this.#takeOver())
  }

  // asked by the job's handle

  /** The events from a position on; waits until there is one. */
  @handles() events(from: EventPosition): EventBatch<JobEvent> | DeferredReply<EventBatch<JobEvent>> {
    const known = this.#events.read(from)
    if (known !== undefined) return known
    const reply = this.ctx.deferReply<EventBatch<JobEvent>>()
    this.#events.wait(from, reply)
    return reply
  }

  @handles() windDown(): void {
    this.#stop.begin()
  }

  // told by workers

  @handles() programSays(generation: number, rank: number, notice: ProgramNotice): void {
    if (!this.#admits(generation)) return
    this.#emit(...this.#progress.heard(rank, notice, this.ctx.clock.monotonic()))
    if (notice.tell === 'ready') this.#known.checkpointer.tell.computesOn(notice.fingerprint)
    if (notice.tell !== 'log') this.#record()
  }

  /** The chief's program waits until a checkpoint with so many of its steps, or more, is written. */
  @handles() checkpointNow(generation: number, step: number): DeferredReply<null> {
    const reply = this.ctx.deferReply<null>()
    if (this.#admits(generation)) this.#waits.add(step, reply)
    return reply
  }

  /** The chief's program trains a part of the model. */
  @handles() joined(generation: number, part: number, outputs: readonly string[]): void {
    if (!this.#admits(generation)) return
    this.#progress.joined(part, outputs)
    this.#record()
  }

  /** A worker's program has come to its end. */
  @handles() returned(generation: number, rank: number, result: unknown): void {
    if (!this.#admits(generation)) return
    this.#results.set(rank, result)
    this.#record()
    if (this.#results.size === this.#spec.workers && !this.#recovering) this.#finish()
  }

  // told by all kinds of children

  /** An actor is about to be started again after this failure. */
  @handles() failing(name: string, cause: unknown): void {
    this.#failed(name, rootCause(cause), null)
  }

  /** An actor has started again. One that was killed could not say so before. */
  @handles() restarted(name: string, reason: DeathReason): void {
    if (reason.kind !== 'failed' && !this.#progress.expected(name)) this.#failed(name, reason.kind, null)
    if (name === CHECKPOINTER) this.#known.checkpointer.tell.lead(this.ctx.incarnation, this.#generation)
  }

  /** An actor that had failed does what it is there for. */
  @handles() works(name: string): void {
    const now = this.ctx.clock.monotonic()
    this.#emit(...this.#progress.back(name, this.#progress.steps, 0, now))
    this.#record()
  }

  // told by servers

  /** A server has started again, and holds nothing. */
  @handles() serverLost(shard: number, incarnation: number, reason: DeathReason): void {
    const name = serverName(shard)
    if (reason.kind !== 'failed' && !this.#progress.expected(name)) this.#failed(name, reason.kind, null)
    this.#roll.came(shard, incarnation)
    if (!this.#recovering && this.#roll.isLacking) this.#recover(this.#rollBack())
  }

  @handles() async stepClosed(generation: number, shard: number, step: ClosedStep): Promise<void> {
    if (!this.#admits(generation)) return
    const steps = this.#progress.closed(shard, step, this.ctx.clock.monotonic())
    if (steps.length > 0) this.ctx.progress()
    this.#emit(...steps)
    this.#known.stepClosed(step.rank)
    const point = { actor: SUPERVISOR, step: this.#progress.steps + 1, late: true }
    if (this.#faults.has(point)) await this.#faults.reach(point)
  }

  @handles() inexact(step: number, note: string): void {
    this.#progress.inexact(step, note)
    this.#record()
  }

  // told by the checkpointer

  @handles() checkpointed(checkpoint: WrittenCheckpoint): void {
    if (!this.#admits(checkpoint.generation)) return
    const { generation, step, steps, path, bytes, seconds } = (this.#newest = checkpoint)
    this.#waits.written(steps[0]!)
    this.#progress.kept(steps)
    if (!this.#spec.checkpoints.temporary && bytes !== null) {
      this.#emit({ event: 'checkpoint', step, generation, path, bytes, seconds })
    }
    this.#stop.checkpointed()
  }

  @handles() checkpointFailed(step: number, steps: readonly number[], error: unknown): void {
    this.#waits.failed(steps[0] ?? step, error)
    this.#warn(`no checkpoint of step ${step}: ${rootCause(error)}`)
    this.#stop.checkpointed()
  }

  // told by chaos

  /** A planned kill happens now. */
  @handles() struck(kill: KillSpec, step: number): void {
    this.#progress.expect(kill.actor)
    this.#failed(kill.actor, 'killed', kill.text, Number.isFinite(step) ? step : undefined)
  }

  // recovery

  /** The job begins, or goes on from where an earlier run of it stopped. */
  async #start(): Promise<void> {
    const resume = this.#resume
    await this.#write()
    for (const damage of resume?.skipped ?? []) this.#warn(`a newer checkpoint cannot be used: ${damage}`)
    // Whoever ran it before commits nothing from now on.
    this.#newest =
      resume === null ? null : await this.#known.checkpointer.ask.with(PATIENT).rewind(this.#generation)
    await this.#restore(this.#newest, false)
    await this.#known.startWorkers(this.#generation)
  }

  /** Goes on with what the supervisor before this one left. */
  async #takeOver(): Promise<void> {
    const crew = this.#known
    await this.#faults.reach({ step: Infinity, during: 'recovery', recovering: SUPERVISOR })
    this.#newest = await crew.checkpointer.ask.with(PATIENT).newest()
    const states = await crew.states()
    const consistent = states.every(({ generation }) => generation === this.#generation)
    if (this.#rollingBack || !consistent) return this.#rollBack()
    this.#roll.hold(states)
    const closed = states.map(({ steps }) => steps)
    const from = this.#progress.adoptsFrom(this.#newest?.step ?? 0)
    const steps = await crew.servers[0]!.ask.with(PATIENT).steps(this.#generation, from)
    await crew.startWorkers(this.#generation)
    for (const [rank, result] of await crew.results()) this.#results.set(rank, result)
    const now = this.ctx.clock.monotonic()
    this.#emit(...this.#progress.adopt(closed, steps, now))
    this.#emit(...this.#progress.back(SUPERVISOR, this.#progress.steps, 0, now))
  }

  /** Takes everybody back to the last checkpoint. Safe to be begun again wherever it stopped. */
  async #rollBack(): Promise<void> {
    const crew = this.#known
    this.#generation += 1
    this.#rollingBack = true
    this.#waits.clear()
    this.#results.clear()
    this.#roll.clear()
    this.#progress.expectNoWorkers()
    await this.#write()
    await crew.stopWorkers()
    const checkpoint = await crew.checkpointer.ask.with(PATIENT).rewind(this.#generation)
    this.#newest = checkpoint
    const [first] = await this.#restore(checkpoint, true)
    this.#progress.rolledBack(first!.steps)
    await crew.startWorkers(this.#generation)
    this.#rollingBack = false
    await this.#write()
    const now = this.ctx.clock.monotonic()
    this.#emit(...this.#progress.back(SUPERVISOR, this.#progress.steps, 0, now))
  }

  async #restore(checkpoint: CheckpointRef | null, recovery: boolean): Promise<readonly ServerState[]> {
    const states = await this.#known.restore(this.#generation, checkpoint, recovery)
    this.#roll.hold(states)
    return states
  }

  /** One at a time; what is lost meanwhile makes it begin again. */
  #recover(work: Promise<void>): void {
    this.#recovering = true
    const again = (): void => this.#recover(this.#rollBack())
    this.ctx.pipeToSelf(
      work,
      () => {
        this.#recovering = false
        this.#patience.recovered()
        if (this.#roll.isLacking) again()
        else if (this.#results.size === this.#spec.workers) this.#finish()
      },
      error => {
        const waitMs = this.#patience.waitMs(error)
        if (waitMs === undefined) throw error
        if (waitMs > 0) this.#warn(`recovery is tried again in ${waitMs} ms: ${rootCause(error)}`)
        this.ctx.after(waitMs, again)
      },
    )
  }

  // the end

  #finish(): void {
    const generation = this.#generation
    const { temporary } = this.#spec.checkpoints
    const last = temporary ? undefined : { generation, version: this.#progress.steps }
    this.ctx.pipeToSelf(
      Promise.all([finalState(this.#known, last), this.#faults.left()]),
      ([state, left]) => {
        if (generation !== this.#generation || this.#recovering) return
        for (const { text } of left) this.#warn(`the kill ${text} never happened: the job ended before`)
        const outcome = { ...state, result: this.#results.get(0) }
        this.#emit(this.#progress.done(outcome, this.ctx.clock.monotonic()))
        void this.#records.remove(this.#spec.run)
      },
      error => {
        // A server was lost at the last moment: the job comes here again.
        if (!isLoss(error)) throw error
      },
    )
  }

  /** As the job stops; false where they are not kept, or nothing is to be kept. */
  #lastCut(): boolean {
    const [{ temporary }, { steps }] = [this.#spec.checkpoints, this.#progress]
    if (temporary || this.#recovering || this.#results.size > 0 || steps === this.#newest?.step) return false
    this.#known.servers[0]!.tell.cutSoon(this.#generation)
    return true
  }

  // telling

  #failed(name: string, reason: string, fault: string | null, step?: number): void {
    this.#emit(this.#progress.failed(name, reason, fault, this.ctx.clock.monotonic(), step))
    this.#record()
  }

  #warn(message: string): void {
    this.#emit({ event: 'log', actor: 'job', level: 'warn', message })
  }

  #emit(...events: JobEvent[]): void {
    this.#events.append(events)
  }

  #record(): void {
    void this.#write()
  }

  async #write(): Promise<void> {
    await this.#records.write(this.#spec.run, {
      generation: this.#generation,
      rollingBack: this.#rollingBack,
      resume: this.#resume,
      progress: this.#progress.state,
      results: [...this.#results],
    })
  }

  /** Does who speaks belong to what the job is now? */
  #admits(generation: number): boolean {
    return new GenerationFence(this.#generation).admits(generation)
  }

  get #known(): JobCrew {
    return this.#crew!
  }
}
