import {
  Actor,
  actor,
  Args,
  handles,
  inject,
  TroupeError,
  type ActorRef,
  type DeferredReply,
  type OnceReply,
} from 'troupe'
import {
  Shard,
  type JournalExtract,
  type ModelSpec,
  type PhaseTimes,
  type ShardOptions,
} from 'troupe/training'
import type { JobSupervisor } from './job-supervisor.js'

export interface ParameterServerArgs {
  readonly shard: ShardOptions
  readonly supervisor: ActorRef<JobSupervisor>
}

/** What a worker is told when it enlists. */
export interface Enlisted {
  /** The step that this server expects of its rank next. */
  readonly next: number
}

/** A server's part of the model in its newest version. */
export interface ServerWeights {
  readonly model: ModelSpec
  readonly version: number
  /** Its slices, at the layout's positions. */
  readonly weights: Float32Array
}

/** Holds a part of the model: takes the workers' pushes from shared memory and publishes new weights there. */
@actor('parameter-server', { module: import.meta.url })
export class ParameterServer extends Actor {
  readonly #shard: Shard
  readonly #supervisor: ActorRef<JobSupervisor>
  /** Who waits for the model. */
  #attaching: (() => void)[] = []
  readonly #kept = new Map<string, unknown>()
  readonly #awaited = new Map<string, DeferredReply<OnceReply>[]>()

  constructor(@inject(Args) { shard, supervisor }: ParameterServerArgs) {
    super()
    this.#shard = new Shard(shard)
    this.#supervisor = supervisor
  }

  override onStart(): void {
    // Whoever waits for a version that will not come is told so.
    this.ctx.signal.addEventListener('abort', () => this.#shard.retire(), { once: true })
  }

  /** Fences off the rank's earlier workers. */
  @handles() enlist(rank: number, incarnation: number): Enlisted {
    return { next: this.#shard.enlist(rank, incarnation) }
  }

  /** Takes the model and this server's slices of the initial values from the chief. */
  @handles() define(model: ModelSpec, initial: Float32Array): DeferredReply<null> {
    return this.#answer(() => {
      const first = !this.#shard.defined
      this.#shard.define(model, initial)
      if (first) this.#open()
      return null
    })
  }

  /** Takes the region of an enlisted worker; answers with the server's own, once the chief has defined the model. */
  @handles() attach(
    rank: number,
    model: ModelSpec,
    region: SharedArrayBuffer,
  ): DeferredReply<SharedArrayBuffer> {
    const reply = this.ctx.deferReply<SharedArrayBuffer>()
    const attach = (): void => settle(reply, () => this.#shard.attach(rank, model, region).buffer)
    if (this.#shard.defined || this.#shard.finished(0)) attach()
    else this.#attaching.push(attach)
    return reply
  }

  /** A worker's program has returned: who waits for something from it waits in vain. */
  @handles() finished(rank: number, incarnation: number): void {
    this.#shard.finish(rank, incarnation)
    if (this.#shard.finished(0)) {
      this.#attachWaiting()
      for (const [key, replies] of this.#awaited) for (const reply of replies) reply.reject(chiefEnded(key))
      this.#awaited.clear()
    }
    this.rung()
  }

  /** Workers have pushed. */
  @handles() rung(): void {
    const { shard } = this.#shard.options
    const { closed, refused } = this.#shard.scan()
    for (const { rank, step, verdict, sameBits } of refused) {
      this.ctx.log.debug(`push of step ${step + 1} by rank ${rank} refused: ${verdict}`)
      if (sameBits === false) {
        this.#supervisor.tell.inexact(
          step,
          `rank ${rank} computed step ${step + 1} again with another result`,
        )
      }
    }
    for (const step of closed) {
      this.ctx.progress()
      this.#supervisor.tell.stepClosed(shard, step)
    }
  }

  /** What user code saw in the first `steps` steps, as far as they are closed; asked of server 0. */
  @handles() journal(steps: number): JournalExtract {
    return this.#shard.journal(steps)
  }

  /** Null if the job trained nothing. */
  @handles() weights(): ServerWeights | null {
    if (!this.#shard.defined) return null
    const { model, step } = this.#shard
    return { model, version: step, weights: this.#shard.weights() }
  }

  /** Where each rank's time went; asked of server 0. */
  @handles() phases(): PhaseTimes[] {
    return this.#shard.phases()
  }

  /** The result of a `ctx.once`; who is not to compute it waits for it. Asked of server 0. */
  @handles() onceFind(key: string, wait: boolean): OnceReply | DeferredReply<OnceReply> {
    if (this.#kept.has(key)) return { found: true, value: this.#kept.get(key) }
    if (!wait) return { found: false }
    const reply = this.ctx.deferReply<OnceReply>()
    if (this.#shard.finished(0)) {
      reply.reject(chiefEnded(key))
      return reply
    }
    this.#awaited.set(key, [...(this.#awaited.get(key) ?? []), reply])
    return reply
  }

  /** The first result counts. */
  @handles() onceKeep(key: string, value: unknown): void {
    if (!this.#kept.has(key)) this.#kept.set(key, value)
    for (const reply of this.#awaited.get(key) ?? [])
      reply.resolve({ found: true, value: this.#kept.get(key) })
    this.#awaited.delete(key)
  }

  #open(): void {
    const self = this.ctx.selfAs(ParameterServer)
    const { signal } = this.ctx
    const listener = this.#shard.area.bell.listen(() => {
      if (!signal.aborted) self.tell.rung()
    })
    signal.addEventListener('abort', () => listener.stop(), { once: true })
    this.#attachWaiting()
  }

  #attachWaiting(): void {
    const waiting = this.#attaching
    this.#attaching = []
    for (const attach of waiting) attach()
  }

  /** A worker's mistake is told to the worker; it does not end the server. */
  #answer<T>(work: () => T): DeferredReply<T> {
    const reply = this.ctx.deferReply<T>()
    settle(reply, work)
    return reply
  }
}

function chiefEnded(key: string): TroupeError {
  return new TroupeError(
    'ERR_RANKS_DIVERGED',
    `a worker waits for ctx.once at ${key} (steps/name/call), but the program of rank 0 ended without it`,
  )
}

function settle<T>(reply: DeferredReply<T>, work: () => T): void {
  try {
    reply.resolve(work())
  } catch (error) {
    reply.reject(error as Error)
  }
}
