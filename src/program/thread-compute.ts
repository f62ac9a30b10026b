import type { ResourceLimits } from 'node:worker_threads'
import { errorFromInfo, errorInfo, TroupeError } from '../errors.js'
import type { Compute, Program, ProgramEnd, ProgramHost } from './compute.js'
import { fixKernelSettings } from '../tensor/index.js'
import { ProgramThread, type ThreadListener } from './program-thread.js'
import {
  ControlWord,
  type ProgramReply,
  type ProgramRequest,
  type ProgramSpec,
  type ThreadNotice,
} from './protocol.js'
import { preparationOf, SpareThreads } from './spare-threads.js'

/** Runs each program in a worker thread of this process. */
export class ThreadCompute implements Compute {
  readonly #limits: ResourceLimits | undefined
  readonly #spares: SpareThreads

  /**
   * @param limits heap limits of each thread, in MiB; beyond them the program fails with ERR_THREAD_LIMIT
   * @param spareThreads threads kept ready for each job, unless its programs say otherwise: see
   * {@link ProgramSpec.spareThreads}
   */
  constructor(limits?: ResourceLimits, spareThreads?: number) {
    this.#limits = limits
    this.#spares = new SpareThreads(limits, spareThreads)
  }

  start(spec: ProgramSpec, host: ProgramHost): Program {
    if (spec.kernels !== undefined) fixKernelSettings(spec.kernels)
    return new ThreadProgram(spec, host, this.#spares, this.#limits)
  }

  /** Threads that have loaded TensorFlow and wait for a program. */
  get preparedSpares(): number {
    return this.#spares.prepared
  }

  /** Ends the spare threads, and prepares no more; programs go on. */
  close(): void {
    this.#spares.close()
  }
}

class ThreadProgram implements Program, ThreadListener {
  readonly #name: string
  readonly #spec: ProgramSpec
  readonly #host: ProgramHost
  readonly #spares: SpareThreads
  readonly #thread: ProgramThread
  #end: ProgramEnd | undefined

  constructor(
    spec: ProgramSpec,
    host: ProgramHost,
    spares: SpareThreads,
    limits: ResourceLimits | undefined,
  ) {
    this.#name = `${spec.job}/worker-${spec.rank}`
    this.#spec = spec
    this.#host = host
    this.#spares = spares
    const spare = spares.take(spec)
    this.#thread = spare ?? new ProgramThread(preparationOf(spec), this.#name, limits, this)
    if (spare !== undefined) {
      spare.listen(this)
      spare.hold(true)
    }
    spares.started(spec)
    this.#thread.send({ run: spec })
  }

  abort(): void {
    this.#thread.send('abort')
  }

  kill(reason: string): void {
    const error = new TroupeError('ERR_PROGRAM_KILLED', `the program of ${this.#name} was killed: ${reason}`)
    this.#settle({ kind: 'failed', error })
  }

  onMessage(message: ProgramRequest | ThreadNotice): void {
    if ('ask' in message) void this.#answer(message)
    else this.#notice(message)
  }

  onError(error: Error): void {
    this.#settle({ kind: 'failed', error: this.#threadError(error) })
  }

  onExit(code: number): void {
    const error = new TroupeError(
      'ERR_THREAD_EXITED',
      `the program of ${this.#name} ended its thread with code ${code}`,
    )
    this.#settle({ kind: 'failed', error })
    this.#host.exited?.()
  }

  async #answer(request: ProgramRequest): Promise<void> {
    let reply: ProgramReply
    try {
      reply = { value: await this.#host.request(request) }
    } catch (error) {
      reply = { error: errorInfo(error) }
    }
    if (this.#end !== undefined) return
    const { control, replies } = this.#thread
    replies.postMessage(reply)
    Atomics.add(control, ControlWord.replies, 1)
    Atomics.notify(control, ControlWord.replies)
  }

  #notice(notice: ThreadNotice): void {
    // What a program says after it was killed is not heard.
    if (this.#end !== undefined || notice.tell === 'prepared') return
    if (notice.tell === 'returned') this.#settle({ kind: 'returned', result: notice.result })
    else if (notice.tell === 'failed') {
      const cause = errorFromInfo(notice.error)
      const error = new TroupeError('ERR_PROGRAM_FAILED', `the program of ${this.#name} failed`, { cause })
      this.#settle({ kind: 'failed', error })
    } else {
      this.#host.notice(notice)
      if (notice.tell === 'live') this.#spares.live(this.#spec)
    }
  }

  /** The first end counts; the thread ends with it, whatever it still holds. */
  #settle(end: ProgramEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#spares.ended(this.#spec, end.kind === 'failed')
    // Its worker need not wait for the thread's exit, which a kernel that is under way can delay.
    this.#host.ended(end)
    this.#thread.terminate()
  }

  #threadError(cause: unknown): TroupeError {
    if ((cause as { code?: unknown }).code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return new TroupeError('ERR_THREAD_LIMIT', `the program of ${this.#name} used up its thread's memory`, {
        cause,
      })
    }
    return new TroupeError('ERR_THREAD_FAILED', `an error ended the thread of ${this.#name}`, { cause })
  }
}
