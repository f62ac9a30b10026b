import { TroupeError } from '../../errors.js'
import type { Cell } from '../../actor/cell.js'
import type { DeathReason, StartCause, Terminated } from '../../actor/death.js'
import type { Delivery } from '../../actor/delivery.js'
import type { Host } from '../../actor/host.js'
import type { HandlerEntry } from '../../actor/protocol.js'
import type { Runtime } from '../runtime.js'
import type { Carrier, Ending, Isolating } from './carrier.js'
import { endingError } from './ending-error.js'
import {
  packReason,
  seal,
  unpackError,
  type Crossing,
  type IsolationMessage,
  type IsolationTag,
  type StartBody,
} from './isolation-protocol.js'
import { IsolatedRequests } from './isolated-requests.js'

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
 * Runs one incarnation of an actor in a thread or process of its own. The cell stays on this side: mailbox, watchers and
 * supervision work on whatever the other one does, also when it blocks, throws, exits, crashes or runs out of memory.
 */
export class IsolatedHost implements Host {
  readonly #cell: Cell
  readonly #runtime: Runtime
  readonly #crossing: Crossing
  readonly #isolating: Isolating
  readonly #requests: IsolatedRequests
  readonly #module: string
  readonly #waiting = new Map<number, Waiting>()
  #carrier: Carrier | undefined
  /** The class's module has been. */
  #loaded = false
  lost: TroupeError | undefined
  #lastId = 0

  /** @throws ERR_NOT_LOADABLE the class does not say which module declares it */
  constructor(cell: Cell, runtime: Runtime, isolating: Isolating) {
    this.#cell = cell
    this.#runtime = runtime
    this.#isolating = isolating
    this.#crossing = { hooks: runtime.hooks, sharesMemory: isolating.sharesMemory }
    const { type, path } = cell
    if (type.module === undefined) {
      throw new TroupeError(
        'ERR_NOT_LOADABLE',
        `a ${isolating.place} cannot load the class of ${path} (${type.name})`,
        {
          data: { path, type: type.name },
        },
      )
    }
    this.#module = type.module
    this.#requests = new IsolatedRequests(cell, runtime, this.#crossing, this, message => this.#post(message))
  }

  async start(cause: StartCause): Promise<void> {
    const { incarnation, parent, type, path, spec } = this.#cell
    // leased ones, that outlived the incarnation before
    const children = [...(this.#cell.children?.values() ?? [])]
    const body: StartBody = {
      type: type.name,
      module: this.#module,
      path,
      incarnation: incarnation?.number ?? 0,
      parent: parent?.parent === undefined ? undefined : { path: parent.path, type: parent.type.name },
      children: children.map(child => ({ path: child.path, type: child.type.name })),
      seed: incarnation?.random.below(2 ** 32) ?? 0,
      cause:
        cause.kind === 'spawned' ? cause : { ...cause, reason: packReason(cause.reason, this.#crossing) },
      args: seal('', [this.#cell.args], this.#crossing),
    }
    this.#carrier = this.#isolating.open(
      { path, module: this.#module, resourceLimits: spec.resourceLimits },
      { message: message => this.#onMessage(message), ended: ending => this.#onEnded(ending) },
    )
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
    await this.#call('terminated', { ...terminated, reason: packReason(terminated.reason, this.#crossing) })
  }

  /** Runs a callback that the other side holds. */
  async callback(callback: number): Promise<void> {
    await this.#call('callback', callback)
  }

  async caughtUp(): Promise<void> {
    await this.#call('ping', undefined).catch(() => undefined)
  }

  abort(): void {
    this.#carrier?.abort()
    this.#post(['abort', 0])
  }

  async stop(reason: DeathReason): Promise<void> {
    if (this.lost === undefined) await this.#call('stop', packReason(reason, this.#crossing))
  }

  dispose(kill: boolean): void {
    this.#requests.close()
    const carrier = this.#carrier
    this.#carrier = undefined
    const what = `the ${this.#isolating.place} of ${this.#cell.path}`
    this.#onLost(new TroupeError('ERR_ACTOR_STOPPED', `${what} was ended`))
    // without hooks either way: a graceful end has run them before
    carrier?.end(kill)
  }

  #call(tag: IsolationTag, body: unknown): Promise<unknown> {
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

  #post(message: IsolationMessage): void {
    this.#carrier?.post(message)
  }

  #onMessage(message: IsolationMessage): void {
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

  #onEnded(ending: Ending): void {
    const actor = { path: this.#cell.path, module: this.#module, loaded: this.#loaded }
    this.#onLost(endingError(this.#isolating.place, ending, actor))
  }

  /** The other side is gone: whatever waits for it fails, and so does the actor. */
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
}
