import type { AskOptions } from './ask.js'
import type { ActorRef } from './ref.js'
import type { HandlerEntry } from './protocol.js'

/** The object behind `ref.tell`: one method for each message, made once a class (a Proxy costs half the speed). */
export type FacadeClass = new (ref: ActorRef) => object
/** The object behind `ref.ask`; `with` gives one that carries options. */
export type AskFacadeClass = new (ref: ActorRef, options: AskOptions | undefined) => object

export interface Facades {
  readonly TellFacade: FacadeClass
  readonly AskFacade: AskFacadeClass
}

/**
 * A message of one argument (or none) carries it as it is; of several, the array of them. A rest array is only
 * materialised by V8 when it is used, so the common case allocates nothing.
 */
export function makeFacades(handlers: ReadonlyMap<string, HandlerEntry>): Facades {
  class TellFacade {
    readonly ref: ActorRef
    constructor(ref: ActorRef) {
      this.ref = ref
    }
  }

  class AskFacade {
    readonly ref: ActorRef
    readonly options: AskOptions | undefined
    constructor(ref: ActorRef, options: AskOptions | undefined) {
      this.ref = ref
      this.options = options
    }

    with(options: AskOptions): AskFacade {
      return new AskFacade(this.ref, options)
    }
  }

  for (const [name, entry] of handlers) {
    define(TellFacade, name, function (this: TellFacade, first: unknown, ...rest: unknown[]): void {
      if (rest.length === 0) this.ref.send(entry, first)
      else this.ref.send(entry.several, [first, ...rest])
    })
    define(AskFacade, name, function (this: AskFacade, first: unknown, ...rest: unknown[]): Promise<unknown> {
      return rest.length === 0
        ? this.ref.request(entry, first, this.options)
        : this.ref.request(entry.several, [first, ...rest], this.options)
    })
  }
  return { TellFacade, AskFacade }
}

function define(facade: { prototype: object }, name: string, value: (...args: unknown[]) => unknown): void {
  Object.defineProperty(facade.prototype, name, { value })
}
