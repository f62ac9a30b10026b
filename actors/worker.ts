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
  type DatasetRequest,
  type DeathReason,
  type JoinReply,
  type JoinRequest,
  type KillSpec,
  type OnceReply,
  type Program,
  type ProgramEnd,
  type ProgramNotice,
  type ProgramRequest,
  type StartCause,
} from 'troupe'
import { Bells, ExchangeRegion, introducedValues, JobModel, ShardArea, type WorkerId } from 'troupe/training'
import { Feeder } from './feeder.js'
import { FaultPoints } from './fault-points.js'
import { FEEDER, NO_TIMEOUT_MS, serverName, workerName, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { isLoss, isLostReply } from './loss.js'
import { ParameterServer } from './parameter-server.js'

export interface WorkerArgs {
  readonly job: JobSpec
  readonly rank: number
  /** Of the job, for as long as this worker lives: a rollback ends it. */
  readonly generation: number
  /** The servers and the feeder are its children. */
  readonly supervisor: ActorRef<JobSupervisor>
}

/** What became of a worker's program, for a supervisor that did not hear of it. */
export interface WorkerState {
  readonly returned: boolean
  readonly result: unknown
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
  readonly #id: WorkerId
  readonly #name: string
  readonly #compute: Compute
  readonly #bells: Bells
  readonly #faults: FaultPoints
  readonly #servers: readonly ActorRef<ParameterServer>[]
  readonly #feeder: ActorRef<Feeder>
  /** Of the servers, once the program exchanges something with them. */
  readonly #areas: ShardArea[] = []
  readonly #answers = new Map<number, Answer>()
  #requests = 0
  #program: Program | undefined
  /** Steps that the program replays. */
  #replays = 0
  readonly #region: ExchangeRegion
  /** As the program has named it so far. */
  readonly #model: JobModel
  /** It took the place of one that died, and its program does not train yet. */
  #recovering = false
  #state: WorkerState = { returned: false, result: null }

  constructor(
    @inject(ActorContext) ctx: ActorContext,
    @inject(Args) args: WorkerArgs,
    @inject(Compute) compute: Compute,
    @inject(Bells) bells: Bells,
  ) {
    super()
    this.#args = args
    this.#name = workerName(args.rank)
    this.#compute = compute
    this.#bells = bells
    const { job, supervisor } = args
    const jobPath = supervisor.path
    this.#faults = new FaultPoints(ctx, job, supervisor)
    this.#servers = Array.from({ length: job.parameterServers }, (_, shard) =>
      ctx.lookup(ParameterServer, `${jobPath}/${serverName(shard)}`),
    )
    this.#feeder = ctx.lookup(Feeder, `${jobPath}/${FEEDER}`)
    const { generation, rank } = args
    this.#id = { generation, rank, incarnation: ctx.incarnation }
    this.#region = ExchangeRegion.create({ ...this.#id, shards: job.parameterServers })
    this.#model = new JobModel(job.parameterServers)
  }

  override onStart(cause: StartCause): void {
    if (cause.kind === 'restarted') {
      this.#recovering = true
      this.#args.supervisor.tell.restarted(this.#name, cause.reason)
    }
    this.ctx.signal.addEventListener('abort', () => this.#program?.kill('its worker ended'), { once: true })
    // Not here: the supervisor may be waiting for this start, and is asked for something then.
    this.ctx.selfAs(Worker).tell.begin()
  }

  override onStop(reason: DeathReason): void {
    if (reason.kind === 'failed') this.#args.supervisor.tell.failing(this.#name, reason.cause)
  }

  @handles() begin(): void {
    this.ctx.pipeToSelf(
      this.#begin(),
      () => undefined,
      error => {
        // A server that died: the supervisor ends this worker too, as soon as it knows.
        if (!isLoss(error)) throw error
      },
    )
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
    const { supervisor, rank, generation } = this.#args
    if (notice.tell === 'live') this.#recovering = false
    if (notice.tell === 'epoch') {
      const { epoch, step, logs } = notice
      this.#servers[0]!.tell.epochEnded(this.#id, { epoch, step, logs })
    }
    supervisor.tell.programSays(generation, rank, notice)
  }

  /** @throws what ended the program, unless it returned: that is this actor's failure too */
  @handles() programEnded(end: ProgramEnd): void {
    const { supervisor, rank, generation } = this.#args
    if (end.kind === 'returned') {
      this.#state = { returned: true, result: end.result }
      for (const server of this.#servers) server.tell.finished(this.#id)
      supervisor.tell.returned(generation, rank, end.result)
      return
    }
    this.#reportProgress()
    const { error } = end
    if (isLoss(error)) return
    const pushed = this.#pushed() - this.#replays
    throw new TroupeError(error.code, `${this.#name} failed after ${pushed} steps of its own`, {
      data: { rank, steps: pushed },
      cause: error,
    })
  }

  @handles() state(): WorkerState {
    return this.#state
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
    const { job, rank, generation } = this.#args
    const { incarnation, signal } = this.ctx
    const kills = await this.#faults.left()
    const enlisted = await Promise.all(this.#servers.map(server => server.ask.enlist(this.#id)))
    // From here on only this incarnation pushes for the rank, so what the servers expect stays.
    this.#replays = Math.min(...enlisted.map(({ next }) => next))
    // One more than all servers have, if the first has it: user code of that life saw what is in it.
    const journal = await this.#servers[0]!.ask.journal(generation, rank, enlisted[0]!.next)
    const self = this.ctx.selfAs(Worker)
    const [region, areas] = [this.#region, this.#areas]
    const spec = {
      job: job.name,
      module: job.module,
      args: job.args,
      rank,
      workers: job.workers,
      seed: job.seed,
      generation,
      incarnation,
      ...(job.backend === undefined ? {} : { backend: job.backend }),
      ...(job.kernels === undefined ? {} : { kernels: job.kernels }),
      checkDeterminism: job.checkDeterminism ?? false,
      ...(job.spareThreads === undefined ? {} : { spareThreads: job.spareThreads }),
      from: this.#replays,
      journal,
      knownParts: Math.min(...enlisted.map(({ parts }) => parts)),
      staleness: job.staleness,
      kills: kills.filter(kill => this.#meets(kill)),
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
      // Also after this incarnation has ended: the servers use the memory again that the thread wrote to.
      exited: () => {
        region.markExited()
        for (const area of areas) area.bell.ring()
      },
    })
  }

  async #answerTo(request: ProgramRequest): Promise<JoinReply | DatasetReply | OnceReply | null> {
    const { rank, generation } = this.#args
    const first = this.#servers[0]!
    switch (request.ask) {
      case 'fault':
        // A planned kill is no sign of something wrong, however many there are in one step.
        this.ctx.progress()
        await this.#faults.strike(request.kill, request.step)
        return null
      case 'join':
        return this.#join(request)
      case 'dataset':
        return this.#openDataset(request)
      case 'once-find':
        return first.ask.with({ timeoutMs: NO_TIMEOUT_MS }).onceFind(generation, request.key, rank !== 0)
      case 'checkpoint':
        return this.#checkpoint(request.step)
      case 'once-keep':
        await first.ask.onceKeep(this.#id, request.key, request.value)
        return null
    }
  }

  /** A supervisor that dies meanwhile has a successor, which is asked anew. */
  async #checkpoint(version: number): Promise<null> {
    const { generation, supervisor } = this.#args
    for (;;) {
      try {
        return await supervisor.ask.with({ timeoutMs: NO_TIMEOUT_MS }).checkpointNow(generation, version)
      } catch (error) {
        if (!isLostReply(error)) throw error
      }
    }
  }

  /** A feeder that dies meanwhile has a successor, which is asked anew. */
  async #openDataset(request: DatasetRequest): Promise<DatasetReply> {
    const { rank } = this.#args
    for (;;) {
      try {
        return await this.#feeder.ask
          .with({ timeoutMs: NO_TIMEOUT_MS })
          .open(rank, this.ctx.incarnation, request)
      } catch (error) {
        if (!isLostReply(error)) throw error
      }
    }
  }

  async #join({ part, spec, initial }: JoinRequest): Promise<JoinReply> {
    const placed = this.#model.agree(part, spec, this.#args.rank)
    if (initial !== null) {
      await Promise.all(
        this.#servers.map(async (server, shard) =>
          server.ask.define(this.#id, part, spec, introducedValues(placed, shard, initial)),
        ),
      )
    }
    const { buffer } = this.#region
    const servers = await Promise.all(
      this.#servers.map(async server =>
        server.ask.with({ timeoutMs: NO_TIMEOUT_MS }).attach(this.#id, part, spec, buffer),
      ),
    )
    if (this.#args.rank === 0) this.#args.supervisor.tell.joined(this.#args.generation, part, spec.outputs)
    if (this.#areas.length === 0)
      for (const { area } of servers) this.#areas.push(new ShardArea(area, this.#bells))
    if (this.#recovering) {
      const point = { step: this.#replays + 1, during: 'recovery', recovering: this.#name } as const
      await this.#faults.reach(point)
    }
    return { region: buffer, servers }
  }

  #settle(id: number, settle: (answer: Answer) => void): void {
    const answer = this.#answers.get(id)
    this.#answers.delete(id)
    if (answer !== undefined) settle(answer)
  }

  /** Steps that every server has of this rank, as far as this incarnation knows. */
  #pushed(): number {
    const committed = this.#servers.map((_, shard) => this.#region.committed(shard) + 1)
    return Math.max(this.#replays, Math.min(...committed))
  }

  #reportProgress(): void {
    if (this.#pushed() > this.#replays) this.ctx.progress()
  }

  /** Does this worker's program come to the place of the kill? */
  #meets({ actor, during }: KillSpec): boolean {
    if (during === 'validation' || during === 'save') return this.#args.rank === 0
    return during === undefined && actor === this.#name
  }
}
