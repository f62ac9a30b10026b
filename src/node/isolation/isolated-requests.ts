import { describe, errorInfo, TroupeError } from '../../errors.js'
import type { Timer } from '../../determinism/index.js'
import { Cell } from '../../actor/cell.js'
import type { SpawnOptions } from '../../actor/child-spec.js'
import { foreignEntry } from '../../actor/foreign-type.js'
import { inbound } from '../../actor/inbound.js'
import type { LocalDeferredReply } from '../../actor/local-deferred-reply.js'
import type { LocalIncarnation } from '../../actor/local-incarnation.js'
import type { Logger } from '../../actor/logger.js'
import { typeByName, type ActorType } from '../../actor/protocol.js'
import { ActorRef, staleSender, type RefTarget, type Watcher } from '../../actor/ref.js'
import type { Runtime } from '../runtime.js'
import {
  packError,
  packValue,
  unpackError,
  unseal,
  unpackValue,
  type ActorName,
  type Crossing,
  type SendBody,
  type SpawnBody,
  type IsolationMessage,
} from './isolation-protocol.js'

/** Runs a callback that lives on the other side. */
interface Callbacks {
  callback(id: number): Promise<void>
}

/** What an isolated actor asks of the runtime: done here, in the name of the cell's incarnation. */
export class IsolatedRequests {
  readonly #cell: Cell
  readonly #runtime: Runtime
  readonly #crossing: Crossing
  readonly #callbacks: Callbacks
  readonly #post: (message: IsolationMessage) => void
  readonly #timers = new Map<number, Timer>()
  readonly #deferred = new Map<number, LocalDeferredReply<unknown>>()
  readonly #asks = new Map<number, AbortController>()
  readonly #followed = new Set<Cell>()
  readonly #follower: Watcher
  #closed = false

  constructor(
    cell: Cell,
    runtime: Runtime,
    crossing: Crossing,
    callbacks: Callbacks,
    post: (message: IsolationMessage) => void,
  ) {
    this.#cell = cell
    this.#runtime = runtime
    this.#crossing = crossing
    this.#callbacks = callbacks
    this.#post = post
    this.#follower = {
      path: cell.path,
      terminated: child => {
        this.#followed.delete(child as Cell)
        this.#post(['child-gone', 0, child.path])
      },
    }
  }

  close(): void {
    this.#closed = true
    // leased children outlive this
    for (const child of this.#followed) child.unwatch(this.#follower)
    this.#followed.clear()
    this.#timers.clear()
    this.#deferred.clear()
    for (const controller of this.#asks.values()) controller.abort()
    this.#asks.clear()
  }

  /** A value that the other side packed. */
  value(body: unknown): unknown {
    return unpackValue(body, this.#crossing)
  }

  handle([tag, id, body]: IsolationMessage): void {
    const incarnation = this.#cell.incarnation
    if (incarnation === undefined || incarnation.ended) return
    switch (tag) {
      case 'send-tell':
        this.#tell(incarnation, body as SendBody)
        break
      case 'send-ask':
        this.#answer(id, this.#ask(incarnation, id, body as SendBody))
        break
      case 'abort-ask':
        this.#asks.get(id)?.abort()
        break
      case 'spawn':
        this.#answer(id, this.#spawn(incarnation, body as SpawnBody), child => this.#spawned(id, child))
        break
      case 'stop-child':
        this.#answer(id, incarnation.stop(this.#ref(body as string)))
        break
      case 'kill-child':
        incarnation.kill(this.#ref(body as string))
        break
      case 'watch':
        incarnation.watch(this.#ref(body as string))
        break
      case 'unwatch':
        incarnation.unwatch(this.#ref(body as string))
        break
      case 'after':
        this.#timers.set(
          id,
          incarnation.after(body as number, () => {
            this.#timers.delete(id)
            return this.#callbacks.callback(id)
          }),
        )
        break
      case 'every':
        this.#timers.set(
          id,
          incarnation.every(body as number, () => this.#callbacks.callback(id)),
        )
        break
      case 'cancel':
        this.#timers.get(id)?.cancel()
        this.#timers.delete(id)
        break
      case 'run':
        this.#cell.run(() => (incarnation.ended ? undefined : this.#callbacks.callback(id)))
        break
      case 'stop-self':
        incarnation.stopSelf()
        break
      case 'progress':
        incarnation.progress()
        break
      case 'defer':
        this.#deferred.set(id, incarnation.deferDelivery())
        break
      case 'settle-value':
        this.#takeDeferred(id)?.resolve(this.value(body))
        break
      case 'settle-error':
        this.#takeDeferred(id)?.reject(unpackError(body))
        break
      case 'log':
        this.#log(body as [keyof Logger, string, Record<string, unknown> | undefined])
        break
      default:
        throw new TroupeError('ERR_INTERNAL', `an isolated actor sent ${describe(tag)}`)
    }
  }

  #tell(incarnation: LocalIncarnation, { path, message }: SendBody): void {
    const { name, args } = unseal(message, this.#crossing)
    try {
      const target = this.#runtime.resolve(path)
      const { handler, payload } = entering(target, name, args)
      target.tell(handler, payload, incarnation)
    } catch (error) {
      // a tell has nobody to tell
      this.#runtime.deadLetter(path, name, this.#cell.path, errorInfo(error).message)
    }
  }

  async #ask(
    incarnation: LocalIncarnation,
    id: number,
    { path, message, timeoutMs }: SendBody,
  ): Promise<unknown> {
    const { name, args } = unseal(message, this.#crossing)
    const target = this.#runtime.resolve(path)
    const { handler, payload } = entering(target, name, args)
    const controller = new AbortController()
    this.#asks.set(id, controller)
    try {
      const options = { signal: controller.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
      return packValue(await target.ask(handler, payload, options, incarnation), this.#crossing)
    } finally {
      this.#asks.delete(id)
    }
  }

  async #spawn(incarnation: LocalIncarnation, { type, module, options, args }: SpawnBody): Promise<Cell> {
    const registered = typeByName(type) ?? (await load(type, module))
    // a child that an ended incarnation wanted must not appear among those of the next
    if (incarnation.ended) throw staleSender(incarnation)
    return this.#cell.spawnChild(
      registered,
      { ...(options as unknown as SpawnOptions), args: unseal(args, this.#crossing).args[0] },
      incarnation.link(),
    )
  }

  /** The actor hears of a child before it hears of its end, which may have come already. */
  #spawned(id: number, child: Cell): void {
    const name: ActorName = { path: child.path, type: child.type.name }
    this.#post(['value', id, name])
    this.follow(child)
  }

  /** Tells the other side, which keeps a list of its actor's children, when this one is gone. */
  follow(child: Cell): void {
    this.#followed.add(child)
    child.watch(this.#follower)
  }

  #answer<T>(
    id: number,
    work: Promise<T>,
    answer: (value: T) => void = value => this.#post(['value', id, value]),
  ): void {
    work.then(
      value => {
        if (!this.#closed) answer(value)
      },
      (error: unknown) => {
        if (!this.#closed) this.#post(['error', id, packError(error, this.#crossing)])
      },
    )
  }

  #ref(path: string): ActorRef {
    return new ActorRef(this.#runtime.resolve(path), this.#cell.type, undefined)
  }

  #takeDeferred(id: number): LocalDeferredReply<unknown> | undefined {
    const reply = this.#deferred.get(id)
    this.#deferred.delete(id)
    return reply
  }

  #log([level, message, fields]: [keyof Logger, string, Record<string, unknown> | undefined]): void {
    this.#runtime.log[level](message, fields)
  }
}

/** A message's entry and payload: checked here if the actor is, else where it lives. */
function entering(target: RefTarget, name: string, args: readonly unknown[]) {
  if (target instanceof Cell) return inbound(target.type, name, args)
  const entry = foreignEntry(name)
  return args.length <= 1 ? { handler: entry, payload: args[0] } : { handler: entry.several, payload: args }
}

/** The class lives in a module that only the other side has loaded so far. */
async function load(type: string, module: string | undefined): Promise<ActorType> {
  if (module !== undefined) await import(module)
  const loaded = typeByName(type)
  if (loaded !== undefined) return loaded
  throw new TroupeError(
    'ERR_NOT_LOADABLE',
    `the runtime cannot load the actor class '${type}' that an isolated actor spawns`,
    {
      data: { type, module },
    },
  )
}
