import type { Worker } from 'node:worker_threads'
import { errorInfo, hasCode, TroupeError } from '../errors.js'
import type { Cell } from '../actor/cell.js'
import type { DeathReason, StartCause, Terminated } from '../actor/death.js'
import type { Delivery } from '../actor/delivery.js'
import type { Host } from '../actor/host.js'
import type { HandlerEntry } from '../actor/protocol.js'
import { spawnThread } from './thread-boot.js'
import {
  seal,
  packReason,
  transferable,
  unpackError,
  type StartBody,
  type ThreadMessage,
  type ThreadTag,
} from './thread-protocol.js'
import { ThreadRequests } from './thread-requests.js'
import type { Runtime } from './runtime.js'

/** The module a thread runs, beside this one: source from source, build from build. */
const THREAD_MAIN = new URL(
  `./thread-actor${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
)

/** The message reached no handler. */
class RefusedMessage extends Error {
  readonly reason: Error
  constructor(reason: Error) {
    super(reason.message)
    this.reason = reason
  }
}

interface Waiting {
  resolve(body: unknown): void
  reject(error: Error): void
}

/**
 * Runs one incarnation of an actor in a worker thread of its own. The cell stays on this side: mailbox, watchers and
 * supervision work on whatever the thread does, also when it blocks, throws, exits or runs out of memory.
 */
export class ThreadHost implements Host {
  readonly #cell: Cell
  readonly #runtime: Runtime
  readonly #requests: ThreadRequests
  readonly #control = new Int32Array(new SharedArrayBuffer(4))
  readonly #waiting = new Map<number, Waiting>()
  #thread: Worker | undefined
  /** The class's module has been. */
  #loaded = false
  lost: TroupeError | undefined
  #lastId = 0

  /** @throws ERR_NOT_LOADABLE the class does not say which module declares it */
  constructor(cell: Cell, runtime: Runtime) {
    this.#cell = cell
    this.#runtime = runtime
    if (cell.type.module === undefined) {
      throw new TroupeError(
        'ERR_NOT_LOADABLE',
        `a thread cannot load the class of ${cell.path} (${cell.type.name})`,
        {
          data: { path: cell.path, type: cell.type.name },
        },
      )
    }
    this.#requests = new ThreadRequests(cell, runtime, this, message => this.#post(message))
  }

  async start(cause: StartCause): Promise<void> {
    const { incarnation, parent, type, path } = this.#cell
    // leased ones, that outlived the incarnation before
    const children = [...(this.#cell.children?.values() ?? [])]
    const body: StartBody = {
      type: type.name,
      module: type.module as string,
      path,
      incarnation: incarnation?.number ?? 0,
      parent: parent?.parent === undefined ? undefined : { path: parent.path, type: parent.type.name },
      children: children.map(child => ({ path: child.path, type: child.type.name })),
      seed: incarnation?.random.below(2 ** 32) ?? 0,
      cause: cause.kind === 'spawned' ? cause : { ...cause, reason: packReason(cause.reason) },
      args: seal('', [this.#cell.args], this.#runtime.hooks),
      control: this.#control.buffer,
    }
    const thread = spawnThread({
      main: THREAD_MAIN,
      modules: [body.module],
      data: undefined,
      name: path,
      ...(this.#cell.spec.resourceLimits === undefined
        ? {}
        : { resourceLimits: this.#cell.spec.resourceLimits }),
    })
    this.#thread = thread
    thread.on('message', (message: ThreadMessage) => this.#onMessage(message))
    thread.on('error', (error: unknown) => this.#onLost(this.#threadError(error)))
    thread.on('exit', exitCode => {
      this.#onLost(
        new TroupeError('ERR_THREAD_EXITED', `the thread of ${path} exited with code ${exitCode}`, {
          data: { path, exitCode },
        }),
      )
    })
    const starting = this.#call('start', body)
    for (const child of children) this.#requests.follow(child)
    await starting
  }

  invoke(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): Promise<unknown> {
    return this.#call(delivery === undefined ? 'tell' : 'ask', payload).then(
      body => this.#requests.value(body),
      (error: unknown) => {
        if (!(error instanceof RefusedMessage)) throw error
        // given up, and told so, in the meantime
        if (this.#cell.current !== delivery) return
        // the cell settles what is current when this resolves: here it has had its answer then
        this.#cell.current = undefined
        if (delivery !== undefined) delivery.fail(error.reason)
        else this.#runtime.deadLetter(this.#cell.path, handler.name, undefined, error.reason.message)
      },
    )
  }

  async terminated(terminated: Terminated): Promise<void> {
    await this.#call('terminated', { ...terminated, reason: packReason(terminated.reason) })
  }

  /** Runs a callback that the thread holds. */
  async callback(callback: number): Promise<void> {
    await this.#call('callback', callback)
  }

  async caughtUp(): Promise<void> {
    await this.#call('ping', undefined).catch(() => undefined)
  }

  abort(): void {
    Atomics.store(this.#control, 0, 1)
    this.#post(['abort', 0])
  }

  async stop(reason: DeathReason): Promise<void> {
    if (this.lost === undefined) await this.#call('stop', packReason(reason))
  }

  dispose(): void {
    this.#requests.close()
    const thread = this.#thread
    this.#thread = undefined
    this.#onLost(new TroupeError('ERR_ACTOR_STOPPED', `the thread of ${this.#cell.path} was ended`))
    // without hooks either way: a graceful end has run them before
    void thread?.terminate()
  }

  #call(tag: ThreadTag, body: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.lost !== undefined) {
        reject(this.lost)
        return
      }
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      this.#post([tag, id, body])
    })
  }

  #post(message: ThreadMessage): void {
    this.#thread?.postMessage(message, transferable(message[2]))
  }

  #onMessage(message: ThreadMessage): void {
    const [tag, id, body] = message
    if (tag === 'value' || tag === 'error' || tag === 'refused') {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (tag === 'value') waiting?.resolve(body)
      else {
        const error = unpackError(body)
        waiting?.reject(tag === 'error' ? error : new RefusedMessage(error))
      }
    } else if (tag === 'loaded') this.#loaded = true
    else if (this.lost === undefined) {
      try {
        this.#requests.handle(message)
      } catch (error) {
        // the child is gone meanwhile, or the like: inline it would be thrown at the actor, here it is too late
        this.#runtime.suppressed(this.#cell.path, error)
      }
    }
  }

  /** The thread is gone: whatever waits for it fails, and so does the actor. */
  #onLost(error: TroupeError): void {
    if (this.lost !== undefined) return
    this.lost = error
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const call of waiting) call.reject(error)
    const { incarnation } = this.#cell
    // what waited need not have been the actor's message, whose end would fail it
    if (incarnation?.host === this && !incarnation.ended) this.#cell.failed(error)
  }

  #threadError(error: unknown): TroupeError {
    const { path } = this.#cell
    const data = { path, cause: errorInfo(error).message }
    if ((error as { code?: unknown } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return new TroupeError('ERR_THREAD_LIMIT', `the thread of ${path} reached its memory limit`, {
        data,
        cause: error,
      })
    }
    if (hasCode(error, 'ERR_NOT_LOADABLE')) {
      return new TroupeError('ERR_NOT_LOADABLE', `the thread of ${path} found no such class`, {
        data,
        cause: error,
      })
    }
    return this.#loaded
      ? new TroupeError('ERR_THREAD_FAILED', `the thread of ${path} failed outside any handler`, {
          data,
          cause: error,
        })
      : new TroupeError(
          'ERR_MODULE_LOAD',
          `the thread of ${path} could not load ${String(this.#cell.type.module)}`,
          {
            data,
            cause: error,
          },
        )
  }
}
