import {
  Actor,
  actor,
  ActorContext,
  Args,
  handles,
  inject,
  Rejected,
  type ActorRef,
  type DeferredReply,
  type OnceReply,
  type StartCause,
} from 'troupe'
import {
  journalEntry,
  Shard,
  type ClosedStep,
  type JournalExtract,
  type ModelSpec,
  type PhaseTimes,
} from 'troupe/training'
import type { CheckpointRef } from './checkpointer.js'
import { FaultPoints } from './fault-points.js'
import { NO_GENERATION, serverName, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { OnceResults } from './once-results.js'

export interface ParameterServerArgs {
  readonly job: JobSpec
  readonly supervisor: ActorRef<JobSupervisor>
  readonly shard: number
}

/** What a worker is told when it enlists. */
export interface Enlisted {
  /** The step that this server expects of its rank next. */
  readonly next: number
}

/** Where a server stands. */
export interface ServerState {
  readonly incarnation: number
  /** 0: it holds nothing yet, or nothing any more. */
  readonly generation: number
  /** Steps closed. */
  readonly step: number
}

/** A server's part of the model in its newest version. */
export interface ServerWeights {
  readonly model: ModelSpec
  readonly version: number
  /** Its slices, at the layout's positions. */
  readonly weights: Float32Array
}

/** What a server holds in one generation of the job. */
interface Open {
  readonly generation: number
  readonly shard: Shard
  readonly onces: OnceResults
  /** Who waits for the model. */
  attaching: { readonly attach: () => void; readonly refuse: (error: Error) => void }[]
}

/**
 * Holds a part of the model: takes the workers' pushes from shared memory and publishes new weights there. It holds
 * nothing until its supervisor says what, and nothing again after it was killed; messages of another generation than
 * its own are refused.
 */
@actor('parameter-server', { module: import.meta.url })
export class ParameterServer extends Actor {
  readonly #args: ParameterServerArgs
  readonly #name: string
  readonly #faults: FaultPoints
  #open: Open | undefined
  /** It stands where a kill is planned. */
  #frozen = false

  constructor(@inject(ActorContext) ctx: ActorContext, @inject(Args) args: ParameterServerArgs) {
    super()
    this.#args = args
    this.#name = serverName(args.shard)
    this.#faults = new FaultPoints(ctx, args.job, args.supervisor)
  }

  override onStart(cause: StartCause): void {
    const { supervisor, shard } = this.#args
    // Whoever waits for a version that will not come is told so.
    this.ctx.signal.addEventListener('abort', () => this.#open?.shard.retire(), { once: true })
    if (cause.kind === 'restarted') supervisor.tell.serverLost(shard, this.ctx.incarnation, cause.reason)
  }

  // asked by the supervisor

  /** Puts this server at a checkpoint, or at the beginning; what it held of lower generations is gone. */
  @handles() restore(
    generation: number,
    checkpoint: CheckpointRef | null,
    recovery: boolean,
  ): DeferredReply<ServerState> {
    const reply = this.ctx.deferReply<ServerState>()
    this.#close(generation)
    this.ctx.pipeToSelf(
      this.#load(generation, checkpoint, recovery),
      () => reply.resolve(this.state()),
      error => reply.reject(error as Error),
    )
    return reply
  }

  @handles() state(): ServerState {
    const { incarnation } = this.ctx
    const open = this.#open
    return { incarnation, generation: open?.generation ?? NO_GENERATION, step: open?.shard.step ?? 0 }
  }

  /** Steps from `from` on, as they were closed; asked of server 0. */
  @handles() steps(generation: number, from: number): ClosedStep[] {
    const { shard } = this.#known(generation)
    const extract = shard.journal(shard.step)
    return Array.from({ length: Math.max(0, extract.steps - from) }, (_, i) => ({
      step: from + i,
      ...journalEntry(extract, from + i),
    }))
  }

  /** A cut is wanted before its time; asked of server 0. */
  @handles() cutSoon(generation: number): void {
    this.#known(generation)
  }

  /** Null if the job trained nothing. */
  @handles() weights(): ServerWeights | null {
    const { shard } = this.#known()
    if (!shard.defined) return null
    return { model: shard.model, version: shard.step, weights: shard.weights() }
  }

  /** Where each rank's time went; asked of server 0. */
  @handles() phases(): PhaseTimes[] {
    return this.#known().shard.phases()
  }

  // asked by workers

  /** Fences off the rank's earlier workers. */
  @handles() enlist(generation: number, rank: number, incarnation: number): Enlisted {
    return { next: this.#known(generation).shard.enlist(rank, incarnation) }
  }

  /** What user code saw in the first `steps` steps, as far as they are closed; asked of server 0. */
  @handles() journal(generation: number, steps: number): JournalExtract {
    return this.#known(generation).shard.journal(steps)
  }

  /** Takes the model and this server's slices of the initial values from the chief. */
  @handles() define(generation: number, model: ModelSpec, initial: Float32Array): DeferredReply<null> {
    return this.#answer(() => {
      const open = this.#known(generation)
      const first = !open.shard.defined
      open.shard.define(model, initial)
      if (first) this.#listen(open)
      return null
    })
  }

  /** Takes the region of an enlisted worker; answers with the server's own, once the chief has defined the model. */
  @handles() attach(
    generation: number,
    rank: number,
    model: ModelSpec,
    region: SharedArrayBuffer,
  ): DeferredReply<SharedArrayBuffer> {
    const reply = this.ctx.deferReply<SharedArrayBuffer>()
    const open = this.#known(generation)
    const attach = (): void => settle(reply, () => open.shard.attach(rank, model, region).buffer)
    if (open.shard.defined || open.shard.finished(0)) attach()
    else open.attaching.push({ attach, refuse: error => reply.reject(error) })
    return reply
  }

  /** A worker's program has returned: who waits for something from it waits in vain. */
  @handles() finished(generation: number, rank: number, incarnation: number): void {
    const open = this.#known(generation)
    open.shard.finish(rank, incarnation)
    if (open.shard.finished(0)) {
      attachWaiting(open)
      open.onces.chiefEnded()
    }
    this.rung()
  }

  /** Workers have pushed. */
  @handles() rung(): void {
    const open = this.#open
    if (open === undefined || this.#frozen) return
    if (this.#meetsKill(open.shard.step + 1)) return
    const { closed, refused } = open.shard.scan()
    const { supervisor, shard } = this.#args
    for (const { rank, step, verdict, sameBits } of refused) {
      this.ctx.log.debug(`push of step ${step + 1} by rank ${rank} refused: ${verdict}`)
      if (sameBits === false) {
        supervisor.tell.inexact(step, `rank ${rank} computed step ${step + 1} again with another result`)
      }
    }
    for (const step of closed) {
      this.ctx.progress()
      supervisor.tell.stepClosed(open.generation, shard, step)
    }
  }

  /** The result of a `ctx.once`; who is not to compute it waits for it. Asked of server 0. */
  @handles() onceFind(generation: number, key: string, wait: boolean): OnceReply | DeferredReply<OnceReply> {
    const { onces } = this.#known(generation)
    const found = onces.find(key)
    if (found.found || !wait) return found
    const reply = this.ctx.deferReply<OnceReply>()
    onces.await(key, reply)
    return reply
  }

  /** The first result counts. */
  @handles() onceKeep(generation: number, key: string, value: unknown): void {
    this.#known(generation).onces.keep(key, value)
  }

  #close(generation: number): void {
    const open = this.#open
    this.#open = undefined
    this.#frozen = false
    if (open === undefined) return
    open.shard.retire()
    const error = stale(this.#name, open.generation, generation)
    for (const { refuse } of open.attaching) refuse(error)
    open.onces.refuse(error)
  }

  async #load(generation: number, checkpoint: CheckpointRef | null, recovery: boolean): Promise<void> {
    const { job, shard: index } = this.#args
    if (recovery) await this.#faults.reach({ step: Infinity, during: 'recovery', recovering: this.#name })
    const shard = new Shard({ shard: index, shards: job.parameterServers, ranks: job.workers, generation })
    this.#open = { generation, shard, onces: new OnceResults(), attaching: [] }
    this.ctx.progress()
  }

  #meetsKill(step: number): boolean {
    const point = { actor: this.#name, step }
    if (!this.#faults.has(point)) return false
    this.#frozen = true
    this.ctx.pipeToSelf(this.#faults.reach(point), () => {
      this.#frozen = false
      this.rung()
    })
    return true
  }

  #listen(open: Open): void {
    const self = this.ctx.selfAs(ParameterServer)
    const { signal } = this.ctx
    const listener = open.shard.area.bell.listen(() => {
      if (!signal.aborted) self.tell.rung()
    })
    signal.addEventListener('abort', () => listener.stop(), { once: true })
    attachWaiting(open)
  }

  /** A worker's mistake is told to the worker; it does not end the server. */
  #answer<T>(work: () => T): DeferredReply<T> {
    const reply = this.ctx.deferReply<T>()
    settle(reply, work)
    return reply
  }

  /** @throws Rejected ERR_STALE_GENERATION: whoever asks belongs to what was dropped, or comes too early */
  #known(generation?: number): Open {
    const open = this.#open
    if (open !== undefined && (generation === undefined || open.generation === generation)) return open
    throw stale(this.#name, generation ?? NO_GENERATION, open?.generation ?? NO_GENERATION)
  }
}

function attachWaiting(open: Open): void {
  const waiting = open.attaching
  open.attaching = []
  for (const { attach } of waiting) attach()
}

function stale(name: string, got: number, known: number): Rejected {
  const here = known === NO_GENERATION ? 'holds nothing yet' : `is at generation ${known}`
  return new Rejected('ERR_STALE_GENERATION', `${name} ${here}; a message of generation ${got} came`)
}

function settle<T>(reply: DeferredReply<T>, work: () => T): void {
  try {
    reply.resolve(work())
  } catch (error) {
    reply.reject(error as Error)
  }
}
