import { MessageChannel, type MessagePort, type ResourceLimits, type Worker } from 'node:worker_threads'
import { errorFromInfo, errorInfo, TroupeError } from '../errors.js'
import { spawnThread } from '../node/thread-boot.js'
import type { Compute, Program, ProgramEnd, ProgramHost } from './compute.js'
import {
  CONTROL_WORDS,
  ControlWord,
  type ProgramNotice,
  type ProgramReply,
  type ProgramRequest,
  type ProgramSpec,
  type ProgramThreadData,
} from './protocol.js'

/** The module a program's thread runs, beside this one: source from source, build from build. */
const THREAD_MAIN = new URL(
  `./thread-program${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
)

/** Runs each program in a worker thread of this process. */
export class ThreadCompute implements Compute {
  readonly #limits: ResourceLimits | undefined

  /** @param limits heap limits of each thread, in MiB; beyond them the program fails with ERR_THREAD_LIMIT */
  constructor(limits?: ResourceLimits) {
    this.#limits = limits
  }

  start(spec: ProgramSpec, host: ProgramHost): Program {
    return new ThreadProgram(spec, host, this.#limits)
  }
}

class ThreadProgram implements Program {
  readonly #name: string
  readonly #host: ProgramHost
  readonly #thread: Worker
  readonly #control: Int32Array
  readonly #replies: MessagePort
  #end: ProgramEnd | undefined
  #exited = false

  constructor(spec: ProgramSpec, host: ProgramHost, limits: ResourceLimits | undefined) {
    this.#name = `${spec.job}/worker-${spec.rank}`
    this.#host = host
    const { port1, port2 } = new MessageChannel()
    this.#replies = port1
    const control = new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT)
    this.#control = new Int32Array(control)
    const data: ProgramThreadData = { spec, control, replies: port2 }
    this.#thread = spawnThread({
      main: THREAD_MAIN,
      modules: [spec.module],
      data,
      transferList: [port2],
      name: this.#name,
      ...(limits === undefined ? {} : { resourceLimits: limits }),
    })
    this.#thread.on('message', (message: ProgramRequest | ProgramNotice) => {
      if ('ask' in message) void this.#answer(message)
      else this.#notice(message)
    })
    this.#thread.on('error', error => this.#settle({ kind: 'failed', error: this.#threadError(error) }))
    this.#thread.on('exit', code => this.#exit(code))
  }

  abort(): void {
    this.#thread.postMessage('abort')
  }

  kill(reason: string): void {
    const error = new TroupeError('ERR_PROGRAM_KILLED', `the program of ${this.#name} was killed: ${reason}`)
    this.#settle({ kind: 'failed', error })
  }

  async #answer(request: ProgramRequest): Promise<void> {
    let reply: ProgramReply
    try {
      reply = { value: await this.#host.request(request) }
    } catch (error) {
      reply = { error: errorInfo(error) }
    }
    if (this.#end !== undefined) return
    this.#replies.postMessage(reply)
    Atomics.add(this.#control, ControlWord.replies, 1)
    Atomics.notify(this.#control, ControlWord.replies)
  }

  #notice(notice: ProgramNotice): void {
    // What a program says after it was killed is not heard.
    if (this.#end !== undefined) return
    if (notice.tell === 'returned') this.#settle({ kind: 'returned', result: notice.result })
    else if (notice.tell === 'failed') {
      const cause = errorFromInfo(notice.error)
      const error = new TroupeError('ERR_PROGRAM_FAILED', `the program of ${this.#name} failed`, { cause })
      this.#settle({ kind: 'failed', error })
    } else this.#host.notice(notice)
  }

  /** The first end counts; the thread ends with it, whatever it still holds. */
  #settle(end: ProgramEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    // Its worker need not wait for the thread's exit, which a kernel that is under way can delay.
    this.#host.ended(end)
    if (!this.#exited) void this.#thread.terminate()
  }

  #exit(code: number): void {
    this.#exited = true
    this.#replies.close()
    const error = new TroupeError(
      'ERR_THREAD_EXITED',
      `the program of ${this.#name} ended its thread with code ${code}`,
    )
    this.#settle({ kind: 'failed', error })
    this.#host.exited?.()
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
