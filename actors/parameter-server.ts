import {
  Actor,
  actor,
  ActorContext,
  Args,
  CheckpointPlaces,
  handles,
  inject,
  type ActorRef,
  type DeferredReply,
  type OnceReply,
  type StartCause,
} from 'troupe'
import {
  Bells,
  GenerationFence,
  Shard,
  type Attachment,
  type ClosedStep,
  type Enlisted,
  type EpochLog,
  type JournalImage,
  type ModelPart,
  type NormSums,
  type PhaseTimes,
  type ShardCut,
  type WorkerId,
} from 'troupe/training'
import { AttachQueue } from './attach-queue.js'
import { Checkpointer, type CheckpointRef } from './checkpointer.js'
import { closedSteps } from './closed-steps.js'
import { FaultPoints } from './fault-points.js'
import { CHECKPOINTER, NO_GENERATION, NO_TIMEOUT_MS, serverName, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { isLoss } from './loss.js'
import { MarkerTalk } from './marker-talk.js'
import { OnceResults } from './once-results.js'
import { refusing, settle, staleGeneration } from './refusal.js'
import type { ServerState, ServerWeights } from './server-state.js'
import { readSnapshot } from './snapshot-reading.js'

/** How often a server that waits for what other servers know of a gradient's norm says again what it knows. */
const NORMS_AGAIN_MS = 1000

export interface ParameterServerArgs {
  readonly job: JobSpec
  readonly supervisor: ActorRef<JobSupervisor>
  readonly shard: number
}

/** What a server holds in one generation of the job. */
interface Open {
  readonly generation: number
  readonly fence: GenerationFence
  readonly shard: Shard
  readonly onces: OnceResults
  readonly attaching: AttachQueue
  readonly markers: MarkerTalk
  /** Ends what goes on for it. */
  readonly close: () => void
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
  readonly #places: CheckpointPlaces
  readonly #bells: Bells
  readonly #others: readonly ActorRef<ParameterServer>[]
  readonly #checkpointer: ActorRef<Checkpointer>
  #open: Open | undefined
  /** The highest one that it was told to restore. */
  #generation = NO_GENERATION
  /** It stands where a kill is planned. */
  #frozen = false

  constructor(
    @inject(ActorContext) ctx: ActorContext,
    @inject(Args) args: ParameterServerArgs,
    @inject(CheckpointPlaces) places: CheckpointPlaces,
    @inject(Bells) bells: Bells,
  ) {
    super()
    const { job, shard, supervisor } = args
    this.#args = args
    this.#name = serverName(shard)
    this.#faults = new FaultPoints(ctx, job, supervisor)
    this.#places = places
    this.#bells = bells
    const names = Array.from({ length: job.parameterServers }, (_, other) => serverName(other))
    this.#others = names
      .filter(name => name !== this.#name)
      .map(name => ctx.lookup(ParameterServer, `${supervisor.path}/${name}`))
    this.#checkpointer = ctx.lookup(Checkpointer, `${supervisor.path}/${CHECKPOINTER}`)
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
    this.#generation = Math.max(this.#generation, generation)
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
    return {
      incarnation,
      generation: open?.generation ?? NO_GENERATION,
      steps: open?.shard.closedSteps ?? [],
    }
  }

  /** Steps from `from` on, as they were closed; asked of server 0. */
  @handles() steps(generation: number, from: readonly number[]): ClosedStep[] {
    return closedSteps(this.#known(generation).shard, from)
  }

  /** A cut is wanted before its time; asked of server 0. */
  @handles() cutSoon(generation: number): void {
    this.#known(generation).shard.requestCut()
    this.rung()
  }

  /** A cut of this version is wanted, while a program waits for it. */
  @handles() cutNow(generation: number, version: number): void {
    this.#known(generation).shard.cutNow(version)
    this.rung()
  }

  /** Null if the job trained nothing. */
  @handles() weights(): ServerWeights | null {
    const { shard } = this.#known()
    if (!shard.defined) return null
    return { variables: shard.model.variables, version: shard.version, tensors: shard.tensors() }
  }

  /** Where each rank's time went; asked of server 0. */
  @handles() phases(): PhaseTimes[] {
    return this.#known().shard.phases()
  }

  // asked by workers

  /** Fences off the rank's earlier workers. */
  @handles() enlist(worker: WorkerId): DeferredReply<Enlisted> {
    return this.#answer(() => this.#known(worker.generation).shard.enlist(worker))
  }

  /** What user code of a rank saw in the first `steps` steps, as far as they are closed; asked of server 0. */
  @handles() journal(generation: number, rank: number, steps: number): JournalImage {
    return this.#known(generation).shard.journal(rank, steps)
  }

  /** Takes a part of the model and this server's slices of the initial values from the chief. */
  @handles() define(
    worker: WorkerId,
    part: number,
    spec: ModelPart,
    initial: readonly Float32Array[],
  ): DeferredReply<null> {
    return this.#answer(() => {
      const open = this.#known(worker.generation)
      open.shard.define(worker, part, spec, initial)
      open.attaching.settle()
      // The first version may be cut.
      this.rung()
      return null
    })
  }

  /** Takes the region of an enlisted worker; answers where it pushes a part, once the chief has defined that. */
  @handles() attach(
    worker: WorkerId,
    part: number,
    spec: ModelPart,
    region: SharedArrayBuffer,
  ): DeferredReply<Attachment> {
    const reply = this.ctx.deferReply<Attachment>()
    const open = this.#known(worker.generation)
    const attach = (): void => settle(reply, () => open.shard.attach(worker, part, spec, region))
    open.attaching.add({ part, attach, refuse: error => reply.reject(error) })
    return reply
  }

  /** A worker's program has returned: who waits for something from it waits in vain. */
  @handles() finished(worker: WorkerId): void {
    const open = this.#known(worker.generation)
    open.shard.finish(worker)
    if (open.shard.finished(0)) {
      open.attaching.settle()
      open.onces.chiefEnded()
    }
    this.rung()
  }

  /** The logs of an epoch that the chief's program has ended; told to server 0. */
  @handles() epochEnded(worker: WorkerId, log: EpochLog): void {
    refusing(() => this.#known(worker.generation).shard.keepEpoch(worker, log))
  }

  /** What another server knows of the norm of a step's gradient. */
  @handles() norms(sums: NormSums): void {
    this.#known(sums.generation).shard.takeNorms(sums)
    this.rung()
  }

  /** What another server says of a marker: see {@link MarkerTalk}. */
  @handles() marker(generation: number, from: number, marker: number): void {
    this.#known(generation).markers.hear(from, marker)
    this.rung()
  }

  /** Workers have pushed. */
  @handles() rung(): void {
    const open = this.#open
    if (open === undefined || this.#frozen) return
    if (this.#meetsKill(open.shard.version + 1)) return
    const { closed, refused, norms, cuts, skipped } = open.shard.scan()
    const { supervisor, shard } = this.#args
    for (const { rank, step, verdict, sameBits } of refused) {
      this.ctx.log.debug(`push of step ${step + 1} by rank ${rank} refused: ${verdict}`)
      if (sameBits === false) {
        supervisor.tell.inexact(step, `rank ${rank} computed step ${step + 1} again with another result`)
      }
    }
    for (const sums of norms) for (const other of this.#others) other.tell.norms(sums)
    for (const step of closed) {
      this.ctx.progress()
      supervisor.tell.stepClosed(open.generation, shard, step)
    }
    for (const cut of cuts) this.#keep(open, cut)
    open.markers.look()
    for (const version of skipped) {
      this.ctx.log.warn(`no checkpoint of step ${version}: those before it are still being written`)
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
  @handles() onceKeep(worker: WorkerId, key: string, value: unknown): DeferredReply<null> {
    return this.#answer(() => {
      this.#known(worker.generation).onces.keep(worker, key, value)
      return null
    })
  }

  #close(generation: number): void {
    const open = this.#open
    this.#open = undefined
    this.#frozen = false
    if (open === undefined) return
    open.close()
    const error = staleGeneration(this.#name, open.generation, generation)
    open.attaching.refuse(error)
    open.onces.refuse(error)
  }

  async #load(generation: number, checkpoint: CheckpointRef | null, recovery: boolean): Promise<void> {
    const { job, shard: index } = this.#args
    if (recovery) await this.#faults.reach({ step: Infinity, during: 'recovery', recovering: this.#name })
    const { everySteps, intervalMs, place } = job.checkpoints
    const shard = new Shard({
      shard: index,
      shards: job.parameterServers,
      ranks: job.workers,
      generation,
      staleness: job.staleness,
      cutEverySteps: everySteps ?? 0,
      ...(job.journalMaxSteps === undefined ? {} : { journalMaxSteps: job.journalMaxSteps }),
      bells: this.#bells,
    })
    if (checkpoint !== null) {
      const { state, pieces } = await readSnapshot(this.#places.open(place), checkpoint, shard)
      shard.restore(generation, state, pieces)
    }
    // A later order has overtaken this one while it read.
    if (generation < this.#generation) throw staleGeneration(this.#name, generation, this.#generation)
    this.#listen(generation, shard, everySteps === null ? intervalMs : undefined)
    this.ctx.progress()
  }

  /** @param cutEveryMs how often server 0 asks for a cut, if not after so many steps */
  #listen(generation: number, shard: Shard, cutEveryMs: number | undefined): void {
    const bell = shard.listen(() => this.ctx.interject(() => this.rung()))
    const index = this.#args.shard
    const hearers = index === 0 ? this.#others : this.#others.slice(0, 1)
    const markers = new MarkerTalk(shard, marker => {
      for (const other of hearers) other.tell.marker(generation, index, marker)
    })
    const timers = [
      this.ctx.every(NORMS_AGAIN_MS, () => {
        for (const sums of shard.openNorms) for (const other of this.#others) other.tell.norms(sums)
        markers.again()
      }),
    ]
    if (index === 0 && cutEveryMs !== undefined) {
      timers.push(this.ctx.every(cutEveryMs, () => this.cutSoon(generation)))
    }
    const close = (): void => {
      bell.stop()
      for (const timer of timers) timer.cancel()
      shard.retire()
    }
    this.ctx.signal.addEventListener('abort', () => bell.stop(), { once: true })
    this.#open = {
      generation,
      fence: new GenerationFence(generation),
      shard,
      onces: new OnceResults(shard),
      attaching: new AttachQueue(shard),
      markers,
      close,
    }
  }

  /** Gives a cut away to be written; its memory is used again when that is done. */
  #keep({ generation, shard }: Open, cut: ShardCut): void {
    const { version, tensors, state } = cut
    const piece = { generation, step: version, shard: this.#args.shard, tensors, state }
    const written = this.#checkpointer.ask.with({ timeoutMs: NO_TIMEOUT_MS }).piece(piece)
    this.ctx.pipeToSelf(
      written,
      () => shard.releaseCut(cut),
      error => {
        shard.releaseCut(cut)
        if (!isLoss(error)) throw error
      },
    )
  }

  #meetsKill(step: number): boolean {
    const point = { actor: this.#name, step, late: true }
    if (!this.#faults.has(point)) return false
    this.#frozen = true
    this.ctx.pipeToSelf(this.#faults.reach(point), () => {
      this.#frozen = false
      this.rung()
    })
    return true
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
    if (open !== undefined && (generation === undefined || open.fence.admits(generation))) return open
    throw staleGeneration(this.#name, generation ?? NO_GENERATION, open?.generation ?? NO_GENERATION)
  }
}
