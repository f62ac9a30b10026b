import {
  Actor,
  actor,
  Args,
  causalChain,
  fingerprintDifferences,
  handles,
  hasCode,
  inject,
  TroupeError,
  type ActorRef,
  type DeathReason,
  type DeferredReply,
  type ErrorCode,
  type JobEvent,
  type KillSpec,
  type ProgramNotice,
  type SupervisionOptions,
  type Terminated,
} from 'troupe'
import { assemble, planLayout, weightsSha256, type ClosedStep } from 'troupe/training'
import { EventLog, type EventBatch } from './event-log.js'
import { Feeder } from './feeder.js'
import { JobProgress } from './job-progress.js'
import { FIRST_GENERATION, serverName, workerName, type JobSpec } from './job-spec.js'
import { ParameterServer } from './parameter-server.js'
import { Worker } from './worker.js'

/** Events that wait for the job's handle; it reads them as they come. */
const MAX_EVENTS = 10_000

/** How long programs may take to heed `ctx.signal` before they are ended. */
const ABORT_GRACE_MS = 250

/** What happens again however often it is tried: the job ends with it at once. */
const REPEATABLE: readonly ErrorCode[] = [
  'ERR_BACKEND_CANNOT_TRAIN',
  'ERR_BACKEND_UNAVAILABLE',
  'ERR_JOB_MODULE',
  'ERR_LAYOUT',
  'ERR_RANKS_DIVERGED',
  'ERR_REPLAY_DIVERGED',
  'ERR_REPLAY_LOOKAHEAD',
  'ERR_TRAINING_LOOP',
]

/** Runs a job: starts its servers, feeder and workers, starts failed workers again, and tells what happens. */
@actor('job-supervisor', { module: import.meta.url })
export class JobSupervisor extends Actor {
  static readonly supervision: SupervisionOptions = {
    decide: (error, child) => (child.type === 'worker' && !isRepeatable(error) ? 'restart' : 'escalate'),
  }

  readonly #spec: JobSpec
  readonly #progress: JobProgress
  readonly #events = new EventLog<JobEvent>(MAX_EVENTS)
  #readers: { readonly from: number; readonly reply: DeferredReply<EventBatch<JobEvent>> }[] = []
  readonly #servers: ActorRef<ParameterServer>[] = []
  readonly #workers: ActorRef<Worker>[] = []
  /** Kills that have not happened yet. */
  readonly #killsLeft: KillSpec[]
  /** Workers that are being started again after a planned kill. */
  readonly #planned = new Set<string>()
  readonly #results = new Map<number, unknown>()
  #done = false

  constructor(@inject(Args) spec: JobSpec) {
    super()
    this.#spec = spec
    this.#killsLeft = [...spec.kills]
    this.#progress = new JobProgress(spec, this.ctx.clock.monotonic())
  }

  override async onStart(): Promise<void> {
    const { parameterServers: shards, workers: ranks, seed } = this.#spec
    const supervisor = this.ctx.selfAs(JobSupervisor)
    for (let shard = 0; shard < shards; shard++) {
      const server = await this.ctx.spawn(ParameterServer, {
        name: serverName(shard),
        args: { shard: { shard, shards, ranks, generation: FIRST_GENERATION }, supervisor },
        restart: 'temporary',
      })
      this.ctx.watch(server)
      this.#servers.push(server)
    }
    await this.ctx.spawn(Feeder, { name: 'feeder', args: { seed, workers: ranks } })
    for (let rank = 0; rank < ranks; rank++) {
      const args = { job: this.#spec, rank, jobPath: this.ctx.path, supervisor }
      this.#workers.push(await this.ctx.spawn(Worker, { name: workerName(rank), args }))
    }
  }

  override onTerminated({ path, reason }: Terminated): void {
    const cause = reason.kind === 'failed' ? reason.cause : undefined
    throw new TroupeError(
      'ERR_STATE_LOST',
      `${path} ended (${reason.kind}), and its part of the model with it`,
      { cause },
    )
  }

  // asked by the job's handle

  /** The events from number `from` on; waits until there is one. */
  @handles() events(from: number): EventBatch<JobEvent> | DeferredReply<EventBatch<JobEvent>> {
    if (this.#events.next > from) return this.#events.read(from)
    const reply = this.ctx.deferReply<EventBatch<JobEvent>>()
    this.#readers.push({ from, reply })
    return reply
  }

  /** Stops the job, after a moment in which programs may heed their `ctx.signal`. */
  @handles() windDown(): void {
    for (const worker of this.#workers) worker.tell.abort()
    this.ctx.after(ABORT_GRACE_MS, () => this.ctx.stopSelf())
  }

  // told by workers

  @handles() killsLeft(rank: number): KillSpec[] {
    return this.#killsLeft.filter(({ actor }) => actor === workerName(rank))
  }

  @handles() programSays(rank: number, notice: ProgramNotice): void {
    const now = this.ctx.clock.monotonic()
    switch (notice.tell) {
      case 'ready':
        this.#compareFingerprint(rank, notice)
        this.#progress.ready(rank, notice)
        break
      case 'extent':
        this.#progress.extent(notice)
        break
      case 'opened':
        this.#progress.opened(notice.index, notice.rows)
        break
      case 'live':
        this.#emit(...this.#progress.live(rank, notice.step, notice.outputs, now))
        break
      case 'epoch':
        this.#emit(...this.#progress.epochEnd(notice))
        break
      case 'log':
        this.#emit({ event: 'log', actor: workerName(rank), level: notice.level, message: notice.message })
        break
      case 'fault':
        this.#kill(rank, notice.kill)
        break
      case 'returned':
      case 'failed':
        break
    }
  }

  /** A worker is about to be started again after this failure. */
  @handles() failing(name: string, cause: unknown): void {
    this.#emit(this.#progress.failed(name, rootCause(cause), null, this.ctx.clock.monotonic()))
  }

  /** A worker has started again. One that was killed could not say so before. */
  @handles() restarted(name: string, reason: DeathReason): void {
    if (reason.kind === 'failed' || this.#planned.delete(name)) return
    this.#emit(this.#progress.failed(name, reason.kind, null, this.ctx.clock.monotonic()))
  }

  /** A worker's program has come to its end. */
  @handles() returned(rank: number, result: unknown): void {
    this.#results.set(rank, result)
    if (this.#results.size < this.#spec.workers) return
    this.ctx.pipeToSelf(this.#outcome(), ({ hash, phases }) => {
      const outcome = { result: this.#results.get(0), weightsSha256: hash, phases }
      for (const { text } of this.#killsLeft)
        this.#warn(`the kill ${text} never happened: the job ended before`)
      this.#emit(this.#progress.done(outcome, this.ctx.clock.monotonic()))
    })
  }

  // told by servers

  @handles() stepClosed(shard: number, step: ClosedStep): void {
    const events = this.#progress.closed(shard, step, this.ctx.clock.monotonic())
    if (events.length === 0) return
    this.#emit(...events)
    for (const worker of this.#workers) worker.tell.stepClosed()
  }

  @handles() inexact(step: number, note: string): void {
    this.#progress.inexact(step, note)
  }

  #kill(rank: number, kill: KillSpec): void {
    const name = workerName(rank)
    const at = this.#killsLeft.findIndex(({ text }) => text === kill.text)
    if (at !== -1) this.#killsLeft.splice(at, 1)
    this.#planned.add(name)
    this.#emit(this.#progress.failed(name, 'killed', kill, this.ctx.clock.monotonic()))
    this.ctx.kill(this.#workers[rank]!)
  }

  async #outcome(): Promise<{ hash: string; phases: Awaited<ReturnType<ParameterServer['phases']>> }> {
    const phases = await this.#servers[0]!.ask.phases()
    const parts = await Promise.all(this.#servers.map(server => server.ask.weights()))
    if (!parts.every(part => part !== null)) return { hash: weightsSha256([], []), phases }
    const { variables } = parts[0]!.model
    const layout = planLayout(variables, parts.length)
    const values = assemble(
      layout,
      variables,
      parts.map(({ weights }) => weights),
    )
    return { hash: weightsSha256(variables, values), phases }
  }

  #compareFingerprint(rank: number, { fingerprint }: Extract<ProgramNotice, { tell: 'ready' }>): void {
    const first = this.#progress.fingerprint
    if (first === undefined) return
    const differences = fingerprintDifferences(first, fingerprint)
    if (differences.length === 0) return
    this.#progress.inexact(
      this.#progress.steps,
      `${workerName(rank)} computes otherwise: ${differences.join('; ')}`,
    )
  }

  #warn(message: string): void {
    this.#emit({ event: 'log', actor: 'job', level: 'warn', message })
  }

  #emit(...events: JobEvent[]): void {
    // Nothing comes after `done`, such as the return of a worker that was killed after its program had ended.
    if (events.length === 0 || this.#done) return
    for (const event of events) this.#events.append(event)
    this.#done = events.at(-1)!.event === 'done'
    const readers = this.#readers
    this.#readers = []
    for (const { from, reply } of readers) reply.resolve(this.#events.read(from))
  }
}

/** What a person wants to know of a chain of causes in one line: where it began. */
function rootCause(error: unknown): string {
  const line = causalChain(error).at(-1)!
  return line.split('. Remedy: ', 1)[0]!
}

function isRepeatable(error: unknown): boolean {
  // A program that fails before it has trained a step lost nothing, and will most likely fail again.
  if (hasCode(error, 'ERR_PROGRAM_FAILED') && error.data['steps'] === 0) return true
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const found = at
    if (REPEATABLE.some(code => hasCode(found, code))) return true
  }
  return false
}
