import type { AskOptions } from '../../actor/ask.js'
import type { HandlerEntry } from '../../actor/protocol.js'
import type { RefTarget, Sender, Watcher } from '../../actor/ref.js'
import type { Remoting } from './remoting.js'

/** Where refs to a path point that no local actor had when they were made: the actor that has it now, wherever it is. */
export class RemoteTarget implements RefTarget {
  readonly path: string
  readonly #remoting: Remoting

  constructor(remoting: Remoting, path: string) {
    this.#remoting = remoting
    this.path = path
  }

  tell(handler: HandlerEntry, payload: unknown, sender: Sender | undefined): void {
    const cell = this.#remoting.system.find(this.path)
    if (cell !== undefined) cell.tell(handler, payload, sender)
    else if (this.#remoting.closed) {
      this.#remoting.system.deadLetter(this.path, handler.name, sender?.path, 'this node is cut off')
    } else
      this.#remoting.route(this.path).pair(sender).post(handler.name, argsOf(handler, payload), undefined)
  }

  ask(
    handler: HandlerEntry,
    payload: unknown,
    options: AskOptions | undefined,
    sender: Sender | undefined,
  ): Promise<unknown> {
    const { system, asks, nowMs } = this.#remoting
    const cell = system.find(this.path)
    if (cell !== undefined) return cell.ask(handler, payload, options, sender)
    const ask = asks.open(system, this, handler.name, options, sender, nowMs)
    if (ask.settled) return ask.promise
    if (this.#remoting.closed) ask.fail(this.#remoting.closedError())
    else {
      try {
        this.#remoting.route(this.path).pair(sender).post(handler.name, argsOf(handler, payload), ask)
      } catch (error) {
        ask.fail(error as Error)
      }
    }
    return ask.promise
  }

  watch(watcher: Watcher): void {
    const cell = this.#remoting.system.find(this.path)
    if (cell === undefined) this.#remoting.watch(this.path, watcher, this)
    else cell.watch(watcher)
  }

  unwatch(watcher: Watcher): void {
    this.#remoting.unwatch(this.path, watcher)
    this.#remoting.system.find(this.path)?.unwatch(watcher)
  }
}

/** A message's arguments as they travel. */
function argsOf(handler: HandlerEntry, payload: unknown): readonly unknown[] {
  if (handler.packed) return payload as unknown[]
  return payload === undefined ? [] : [payload]
}
