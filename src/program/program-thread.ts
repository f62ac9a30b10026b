import { MessageChannel, type MessagePort, type ResourceLimits, type Worker } from 'node:worker_threads'
import { spawnThread } from '../node/thread-boot.js'
import {
  CONTROL_WORDS,
  type Preparation,
  type ProgramOrder,
  type ProgramRequest,
  type ProgramThreadData,
  type ThreadNotice,
} from './protocol.js'

/** The module a program's thread runs, beside this one: source from source, build from build. */
const THREAD_MAIN = new URL(
  `./thread-program${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
)

/** Whoever a thread talks to. */
export interface ThreadListener {
  onMessage(message: ProgramRequest | ThreadNotice): void
  onError(error: Error): void
  /** The thread is gone. */
  onExit(code: number): void
}

/** A thread that prepares TensorFlow for the programs of one job, and then waits for one of them. */
export class ProgramThread {
  readonly control: Int32Array
  readonly replies: MessagePort
  readonly #worker: Worker
  #listener: ThreadListener
  #exited = false

  constructor(
    preparation: Preparation,
    name: string,
    limits: ResourceLimits | undefined,
    listener: ThreadListener,
  ) {
    const { port1, port2 } = new MessageChannel()
    const control = new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT)
    this.control = new Int32Array(control)
    this.replies = port1
    this.#listener = listener
    const data: ProgramThreadData = { preparation, control, replies: port2 }
    this.#worker = spawnThread({
      main: THREAD_MAIN,
      modules: [preparation.module],
      data,
      transferList: [port2],
      name,
      ...(limits === undefined ? {} : { resourceLimits: limits }),
    })
    this.#worker.on('message', (message: ProgramRequest | ThreadNotice) => this.#listener.onMessage(message))
    this.#worker.on('error', (error: Error) => this.#listener.onError(error))
    this.#worker.on('exit', code => {
      this.#exited = true
      this.replies.close()
      this.#listener.onExit(code)
    })
  }

  /** From now on somebody else listens. */
  listen(listener: ThreadListener): void {
    this.#listener = listener
  }

  send(order: ProgramOrder): void {
    this.#worker.postMessage(order)
  }

  /** Whether it keeps the process alive. @default it does */
  hold(held: boolean): void {
    if (held) this.#worker.ref()
    else this.#worker.unref()
  }

  /** Ends it where it stands; a native call that is under way can delay its exit. */
  terminate(): void {
    if (!this.#exited) void this.#worker.terminate()
  }
}
