import {
  Actor,
  actor,
  ActorContext,
  Args,
  Compute,
  handles,
  inject,
  TroupeError,
  type ActorRef,
  type DatasetReply,
  type DeathReason,
  type JoinReply,
  type JoinRequest,
  type OnceReply,
  type Program,
  type ProgramEnd,
  type ProgramNotice,
  type ProgramRequest,
  type StartCause,
} from 'troupe'
import { ExchangeRegion, planLayout, scatter } from 'troupe/training'
import { Feeder } from './feeder.js'
import { FIRST_GENERATION, NO_TIMEOUT_MS, serverName, workerName, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { ParameterServer } from './parameter-server.js'

export interface WorkerArgs {
  readonly job: JobSpec
  readonly rank: number
  /** Path of the actor whose children the servers and the feeder are. */
  readonly jobPath: string
  readonly supervisor: ActorRef<JobSupervisor>
}

/** What the program waits for. */
interface Answer {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** One of the job's workers: owns the program of its rank, and fails when that dies. */
@actor('worker', { module: import.meta.url })
export class Worker extends Actor {
  readonly #args: WorkerArgs
  readonly #compute: Compute
  readonly #servers: readonly ActorRef<ParameterServer>[]
  readonly #feeder: ActorRef<Feeder>
  readonly #answers = new Map<number, Answer>()
  #requests = 0
  #program: Program | undefined
  /** Steps that the program replays. */
  #replays = 0
  #region: ExchangeRegion | undefined

  constructor(
    @inject(ActorContext) ctx: ActorContext,
    @inject(Args) args: WorkerArgs,
    @inject(Compute) compute: Compute,
  ) {
    super()
    this.#args = args
    this.#compute = compute
    const { jobPath, job } = args
    this.#servers = Array.from({ length: job.parameterServers }, (_, shard) =>
      ctx.lookup(ParameterServer, `${jobPath}/${serverName(shard)}`),
    )
    this.#feeder = ctx.lookup(Feeder, `${jobPath}/feeder`)
  }

  override onStart(cause: StartCause): void {
    const { supervisor, rank } = this.#args
    if (cause.kind === 'restarted') supervisor.tell.restarted(workerName(rank), cause.reason)
    this.ctx.signal.addEventListener('abort', () => this.#program?.kill('its worker ended'), { once: true })
    // Not here: the supervisor may be waiting for this start, and is asked for something then.
    this.ctx.selfAs(Worker).tell.begin()
  }

  override onStop(reason: DeathReason): void {
    const { supervisor, rank } = this.#args
    if (reason.kind === 'failed') supervisor.tell.failing(workerName(rank), reason.cause)
  }

  @handles() begin(): void {
    this.ctx.pipeToSelf(this.#begin(), () => undefined)
  }

  /** The program asks; answered when the answer is known, while other messages go on. */
  @handles() programAsks(id: number, request: ProgramRequest): void {
    this.ctx.pipeToSelf(
      this.#answerTo(request),
      value => this.#settle(id, answer => answer.resolve(value)),
      error => this.#settle(id, answer => answer.reject(error)),
    )
  }

  @handles() programSays(notice: ProgramNotice): void {
    const { supervisor, rank } = this.#args
    if (notice.tell === 'fault') {
      // A planned kill is no sign of something wrong, however many there are in one step.
      this.ctx.progress()
      this.#program?.kill(`by plan, at ${notice.kill.text}`)
    }
    supervisor.tell.programSays(rank, notice)
  }

  /** @throws what ended the program, unless it returned: that is this actor's failure too */
  @handles() programEnded(end: ProgramEnd): void {
    const { supervisor, rank } = this.#args
    if (end.kind === 'returned') {
      for (const server of this.#servers) server.tell.finished(rank, this.ctx.incarnation)
      supervisor.tell.returned(rank, end.result)
      return
    }
    this.#reportProgress()
    const { error } = end
    // The supervisor kills this actor as well: a planned kill is not the worker's failure.
    if (error.code === 'ERR_PROGRAM_KILLED') return
    const pushed = this.#pushed() - this.#replays
    throw new TroupeError(error.code, `${workerName(rank)} failed after ${pushed} steps of its own`, {
      data: { rank, steps: pushed },
      cause: error,
    })
  }

  /** A step was closed by all servers: a kill that comes now is no sign of something wrong. */
  @handles() stepClosed(): void {
    this.ctx.progress()
  }

  /** The job is about to stop: lets the program's `ctx.signal` abort. */
  @handles() abort(): void {
    this.#program?.abort()
  }

  /** Its `ctx` throws once this incarnation has ended: then no program is started. */
  async #begin(): Promise<void> {
    const { job, rank, supervisor } = this.#args
    const { incarnation, signal } = this.ctx
    const kills = await supervisor.ask.killsLeft(rank)
    const enlisted = await Promise.all(this.#servers.map(server => server.ask.enlist(rank, incarnation)))
    // From here on only this incarnation pushes for the rank, so what the servers expect stays.
    this.#replays = Math.min(...enlisted.map(({ next }) => next))
    const journal = await this.#servers[0]!.ask.journal(this.#replays)
    const self = this.ctx.selfAs(Worker)
    const spec = {
      job: job.name,
      module: job.module,
      args: job.args,
      rank,
      workers: job.workers,
      seed: job.seed,
      generation: FIRST_GENERATION,
      incarnation,
      ...(job.backend === undefined ? {} : { backend: job.backend }),
      from: this.#replays,
      journal,
      kills,
    }
    this.#program = this.#compute.start(spec, {
      request: request =>
        new Promise((resolve, reject) => {
          if (signal.aborted) return
          this.#answers.set(++this.#requests, { resolve, reject })
          self.tell.programAsks(this.#requests, request)
        }),
      notice: notice => {
        if (!signal.aborted) self.tell.programSays(notice)
      },
      ended: end => {
        if (!signal.aborted) self.tell.programEnded(end)
      },
    })
  }

  async #answerTo(request: ProgramRequest): Promise<JoinReply | DatasetReply | OnceReply | null> {
    const { rank } = this.#args
    const first = this.#servers[0]!
    switch (request.ask) {
      case 'join':
        return this.#join(request)
      case 'dataset':
        return this.#feeder.ask.with({ timeoutMs: NO_TIMEOUT_MS }).open(rank, this.ctx.incarnation, request)
      case 'once-find':
        return first.ask.with({ timeoutMs: NO_TIMEOUT_MS }).onceFind(request.key, rank !== 0)
      case 'once-keep':
        await first.ask.onceKeep(request.key, request.value)
        return null
    }
  }

  async #join({ model, initial }: JoinRequest): Promise<JoinReply> {
    const { rank } = this.#args
    const layout = planLayout(model.variables, this.#servers.length)
    if (initial !== null) {
      await Promise.all(
        this.#servers.map((server, shard) => {
          const slices = new Float32Array(layout.shardElements[shard]!)
          scatter(layout, shard, initial, slices)
          return server.ask.define(model, slices)
        }),
      )
    }
    const region = ExchangeRegion.create({
      generation: FIRST_GENERATION,
      incarnation: this.ctx.incarnation,
      rank,
      shardElements: layout.shardElements,
      outputs: model.outputs.length,
    })
    const areas = await Promise.all(
      this.#servers.map(server =>
        server.ask.with({ timeoutMs: NO_TIMEOUT_MS }).attach(rank, model, region.buffer),
      ),
    )
    this.#region = region
    return { region: region.buffer, areas }
  }

  #settle(id: number, settle: (answer: Answer) => void): void {
    const answer = this.#answers.get(id)
    this.#answers.delete(id)
    if (answer !== undefined) settle(answer)
  }

  /** Steps that every server has of this rank, as far as this incarnation knows. */
  #pushed(): number {
    const region = this.#region
    if (region === undefined) return this.#replays
    const committed = this.#servers.map((_, shard) => region.committed(shard) + 1)
    return Math.max(this.#replays, Math.min(...committed))
  }

  #reportProgress(): void {
    if (this.#pushed() > this.#replays) this.ctx.progress()
  }
}
