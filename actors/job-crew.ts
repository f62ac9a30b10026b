import type { ActorContext, ActorRef } from 'troupe'
import { Checkpointer, type CheckpointRef } from './checkpointer.js'
import { Feeder } from './feeder.js'
import { onSameKernels } from './job-resume.js'
import {
  CHECKPOINTER,
  FEEDER,
  PATIENT,
  serverName,
  workerName,
  type JobSpec,
  type ResumePoint,
} from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { ParameterServer } from './parameter-server.js'
import type { ServerState } from './server-state.js'
import { Worker } from './worker.js'

/** They go on while their supervisor is down, and the next one takes them over. */
const LEASED = { lifetime: 'leased' } as const

/** The actors of a job under its supervisor: started by its first incarnation, adopted by the later ones. */
export class JobCrew {
  readonly servers: readonly ActorRef<ParameterServer>[]
  readonly feeder: ActorRef<Feeder>
  readonly checkpointer: ActorRef<Checkpointer>
  workers: readonly ActorRef<Worker>[] = []
  readonly #ctx: ActorContext
  readonly #supervisor: ActorRef<JobSupervisor>
  readonly #job: JobSpec

  private constructor(
    ctx: ActorContext,
    supervisor: ActorRef<JobSupervisor>,
    job: JobSpec,
    servers: readonly ActorRef<ParameterServer>[],
    feeder: ActorRef<Feeder>,
    checkpointer: ActorRef<Checkpointer>,
  ) {
    this.#ctx = ctx
    this.#supervisor = supervisor
    this.#job = job
    this.servers = servers
    this.feeder = feeder
    this.checkpointer = checkpointer
  }

  /** All but the workers: a new server holds nothing until it is told what. */
  static async gather(
    ctx: ActorContext,
    supervisor: ActorRef<JobSupervisor>,
    spec: JobSpec,
    resume: ResumePoint | null,
  ): Promise<JobCrew> {
    const job = onSameKernels(spec, resume)
    const args = { job, supervisor }
    const { serverIsolation: isolation = 'inline' } = job
    const servers: ActorRef<ParameterServer>[] = []
    for (let shard = 0; shard < job.parameterServers; shard++) {
      const name = serverName(shard)
      servers.push(await ctx.spawn(ParameterServer, { name, args: { ...args, shard }, isolation, ...LEASED }))
    }
    const feeder = await ctx.spawn(Feeder, { name: FEEDER, args, ...LEASED })
    const checkpointer = await ctx.spawn(Checkpointer, { name: CHECKPOINTER, args, isolation, ...LEASED })
    return new JobCrew(ctx, supervisor, job, servers, feeder, checkpointer)
  }

  /** Starts the workers that are not there, and adopts those that are. */
  async startWorkers(generation: number): Promise<void> {
    const supervisor = this.#supervisor
    const workers: ActorRef<Worker>[] = []
    for (let rank = 0; rank < this.#job.workers; rank++) {
      const args = { job: this.#job, supervisor, rank, generation }
      workers.push(await this.#ctx.spawn(Worker, { name: workerName(rank), args, ...LEASED }))
    }
    this.workers = workers
  }

  /** Ends the workers and their programs; none comes back. */
  async stopWorkers(): Promise<void> {
    this.workers = []
    const names = new Set(Array.from({ length: this.#job.workers }, (_, rank) => workerName(rank)))
    const present = this.#ctx.children.filter(({ path }) => names.has(path.slice(path.lastIndexOf('/') + 1)))
    await Promise.all(present.map(async worker => this.#ctx.stop(worker)))
  }

  /**
   * Puts every server at a checkpoint, or at the beginning; answers when all are there.
   *
   * @param recovery after a failure, not when the job starts
   */
  async restore(
    generation: number,
    checkpoint: CheckpointRef | null,
    recovery: boolean,
  ): Promise<ServerState[]> {
    return Promise.all(
      this.servers.map(async server => server.ask.with(PATIENT).restore(generation, checkpoint, recovery)),
    )
  }

  /** Lets programs heed their `ctx.signal`. */
  abort(): void {
    for (const worker of this.workers) worker.tell.abort()
  }

  /** What the programs that have come to their end returned, by rank. */
  async results(): Promise<Map<number, unknown>> {
    const states = await Promise.all(this.workers.map(async worker => worker.ask.state()))
    return new Map(states.flatMap(({ returned, result }, rank) => (returned ? [[rank, result]] : [])))
  }

  /** A cut is wanted: in exact mode of the version that has so many steps, else of the next that workers agree on. */
  cutNow(generation: number, step: number): void {
    for (const server of this.servers) server.tell.cutNow(generation, step)
  }

  /** A step was closed by all servers: of this rank, or null of all. */
  stepClosed(of: number | null): void {
    for (const [rank, worker] of this.workers.entries()) {
      if (of === null || of === rank) worker.tell.stepClosed()
    }
  }

  /** What each server holds now. */
  async states(): Promise<ServerState[]> {
    return Promise.all(this.servers.map(async server => server.ask.with(PATIENT).state()))
  }
}
