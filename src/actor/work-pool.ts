import { Rejected, TroupeError } from '../errors.js'
import { Actor, type ActorClass } from './actor.js'
import type { SpawnOptions } from './child-spec.js'
import type { DeferredReply } from './deferred-reply.js'
import { Args } from './context.js'
import type { ActorRef } from './ref.js'

/** A class whose actors can work in a {@link WorkPool}: it handles `work`. */
export type WorkerClass<Job = never, Result = unknown> = ActorClass<Actor & { work(job: Job): Result }>

export interface WorkPoolArgs {
  readonly worker: WorkerClass
  /** How many workers. */
  readonly size: number
  /** For each worker, but the name; `isolation: 'thread'` gives each a thread. */
  readonly options?: Omit<SpawnOptions, 'name'>
  /** Jobs that may wait while all workers are busy; beyond it `submit` is rejected with POOL_FULL. @default 1024 */
  readonly maxQueued?: number
  /** Milliseconds that a job may take. @default 60000 */
  readonly jobTimeoutMs?: number
}

export const DEFAULT_MAX_QUEUED = 1024
export const DEFAULT_JOB_TIMEOUT_MS = 60_000

interface Job {
  readonly job: unknown
  readonly reply: DeferredReply<unknown>
}

type Worker = ActorRef<Actor & { work(job: unknown): unknown }>

/**
 * A pool of workers that take jobs when they are free: a slow job holds up nobody else's. A job whose worker fails is
 * rejected with the error and not tried again, since it may have had effects; the worker is restarted.
 *
 * @example
 * ```ts
 * const pool = await troupe.spawn(WorkPool, { name: 'pool', args: { worker: Resize, size: 4 } })
 * await pool.ask.submit(image)
 * ```
 */
export class WorkPool extends Actor {
  static readonly type = 'work-pool'
  static readonly handles = ['submit']

  readonly #args = this.inject(Args) as WorkPoolArgs
  readonly #queue: Job[] = []
  readonly #free: Worker[] = []

  override async onStart(): Promise<void> {
    const { size, worker, options } = this.#args
    if (!Number.isInteger(size) || size < 1) {
      throw new TroupeError('ERR_INVALID_OPTION', `size of a pool must be an integer from 1, got ${size}`, {
        data: { option: 'size', value: size },
      })
    }
    const names = Array.from({ length: size }, (_, index) => `worker-${index}`)
    const workers = await Promise.all(
      names.map(name => this.ctx.spawn(worker, { restart: 'permanent', ...options, name })),
    )
    this.#free.push(...(workers as unknown as Worker[]))
  }

  /** Gives a job to the next free worker; the reply is what its `work` returned. */
  submit(job: unknown): DeferredReply<unknown> {
    const { maxQueued = DEFAULT_MAX_QUEUED } = this.#args
    const worker = this.#free.shift()
    if (worker === undefined && this.#queue.length >= maxQueued) {
      throw new Rejected('POOL_FULL', `all workers are busy and ${maxQueued} jobs wait already`, {
        maxQueued,
      })
    }
    const reply = this.ctx.deferReply<unknown>()
    if (worker === undefined) this.#queue.push({ job, reply })
    else this.#give(worker, { job, reply })
    return reply
  }

  #give(worker: Worker, { job, reply }: Job): void {
    const { jobTimeoutMs: timeoutMs = DEFAULT_JOB_TIMEOUT_MS } = this.#args
    const done = (): void => {
      const next = this.#queue.shift()
      if (next === undefined) this.#free.push(worker)
      else this.#give(worker, next)
    }
    this.ctx.pipeToSelf(
      worker.ask.with({ timeoutMs }).work(job),
      result => {
        reply.resolve(result)
        done()
      },
      error => {
        reply.reject(error as Error)
        done()
      },
    )
  }
}
