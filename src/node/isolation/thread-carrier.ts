import type { Worker } from 'node:worker_threads'
import { spawnThread } from '../thread-boot.js'
import type { Carrier, CarrierEvents, CarrierSpec, Ending, Isolating } from './carrier.js'
import type { IsolationMessage } from './isolation-protocol.js'
import { besideThis } from './main-module.js'
import { transferable } from './transferable.js'

const MAIN = besideThis(import.meta.url, 'thread-main')

/** Carries messages to a worker thread of the actor's own, by `postMessage`; control is a word of shared memory. */
class ThreadCarrier implements Carrier {
  readonly #control = new Int32Array(new SharedArrayBuffer(4))
  readonly #thread: Worker
  #ended = false

  constructor({ path, module, resourceLimits }: CarrierSpec, events: CarrierEvents) {
    this.#thread = spawnThread({
      main: MAIN,
      modules: [module],
      data: this.#control,
      name: path,
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    })
    const ended = (ending: Ending): void => {
      if (this.#ended) return
      this.#ended = true
      events.ended(ending)
    }
    this.#thread.on('message', (message: IsolationMessage) => events.message(message))
    this.#thread.on('error', (cause: unknown) => ended(endingOf(cause)))
    this.#thread.on('exit', exitCode => ended({ kind: 'exited', exitCode }))
  }

  post(message: IsolationMessage): void {
    this.#thread.postMessage(message, transferable(message[2]))
  }

  abort(): void {
    Atomics.store(this.#control, 0, 1)
  }

  /** A thread knows one way only. */
  end(): void {
    this.#ended = true
    void this.#thread.terminate()
  }
}

export const THREAD: Isolating = {
  place: 'thread',
  sharesMemory: true,
  open: (spec, events) => new ThreadCarrier(spec, events),
}

function endingOf(cause: unknown): Ending {
  const { code } = (cause ?? {}) as { code?: unknown }
  return { kind: code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : 'failed', cause }
}
