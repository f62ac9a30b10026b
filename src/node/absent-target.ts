import { TroupeError } from '../errors.js'
import type { AskOptions } from '../actor/ask.js'
import { NEVER_EXISTED } from '../actor/death.js'
import type { HandlerEntry } from '../actor/protocol.js'
import type { RefTarget, Sender, Watcher } from '../actor/ref.js'
import type { ActorSystem } from '../actor/system.js'

/** A path that no actor of this runtime has, yet: each message looks again. */
export class AbsentTarget implements RefTarget {
  readonly path: string
  readonly #system: ActorSystem

  constructor(system: ActorSystem, path: string) {
    this.#system = system
    this.path = path
  }

  tell(handler: HandlerEntry, payload: unknown, sender: Sender | undefined): void {
    const cell = this.#system.find(this.path)
    if (cell === undefined) this.#system.deadLetter(this.path, handler.name, sender?.path, 'no such actor')
    else cell.tell(handler, payload, sender)
  }

  ask(
    handler: HandlerEntry,
    payload: unknown,
    options: AskOptions | undefined,
    sender: Sender | undefined,
  ): Promise<unknown> {
    const cell = this.#system.find(this.path)
    if (cell !== undefined) return cell.ask(handler, payload, options, sender)
    return Promise.reject(
      new TroupeError('ERR_ACTOR_NOT_FOUND', `there is no actor ${this.path}`, { data: { path: this.path } }),
    )
  }

  watch(watcher: Watcher): void {
    const cell = this.#system.find(this.path)
    if (cell === undefined) watcher.terminated(this, 0, NEVER_EXISTED)
    else cell.watch(watcher)
  }

  unwatch(watcher: Watcher): void {
    this.#system.find(this.path)?.unwatch(watcher)
  }
}
