import { Actor } from './actor.js'
import type { AskOptions } from './ask.js'
import { typeByName, type ActorType, type HandlerEntry } from './protocol.js'
import type { ActorRef } from './ref.js'

/** A class that this process has not loaded: its refs can be sent on and talked to; names are checked where it lives. */
class Foreign extends Actor {}

const foreignTypes = new Map<string, ActorType>()
/** Strangers choose the names: what is remembered of them is bounded. */
const MAX_FOREIGN_TYPES = 1024

/** The protocol registered under a name, or a stand-in whose facades accept any message. */
export function typeOfName(name: string): ActorType {
  const known = typeByName(name) ?? foreignTypes.get(name)
  if (known !== undefined) return known
  const type: ActorType = {
    name,
    ctor: Foreign,
    module: undefined,
    handlers: new Map(),
    injected: false,
    TellFacade: foreignFacade((ref, entry, args) => {
      ref.send(args.length <= 1 ? entry : entry.several, args.length <= 1 ? args[0] : args)
    }),
    AskFacade: foreignFacade((ref, entry, args, options) =>
      ref.request(args.length <= 1 ? entry : entry.several, args.length <= 1 ? args[0] : args, options),
    ),
  }
  if (foreignTypes.size >= MAX_FOREIGN_TYPES) foreignTypes.clear()
  foreignTypes.set(name, type)
  return type
}

/** The entry of a message by its name alone: for targets that only pass it on. */
export function foreignEntry(name: string): HandlerEntry {
  const invoke = (): never => {
    throw new Error(`'${name}' was to be passed on, not handled here`)
  }
  const several: HandlerEntry = {
    name,
    owner: Foreign,
    packed: true,
    schema: undefined,
    invoke,
    get several() {
      return several
    },
  }
  return { name, owner: Foreign, packed: false, schema: undefined, invoke, several }
}

type Send = (ref: ActorRef, entry: HandlerEntry, args: unknown[], options: AskOptions | undefined) => unknown

function foreignFacade(send: Send): new (ref: ActorRef, options?: AskOptions) => object {
  return class ForeignFacade {
    constructor(ref: ActorRef, options?: AskOptions) {
      return new Proxy(this, {
        get: (_target, name) => {
          // a promise must not take it for a thenable
          if (typeof name !== 'string' || name === 'then') return undefined
          if (name === 'with') return (given: AskOptions) => new ForeignFacade(ref, given)
          return (...args: unknown[]) => send(ref, foreignEntry(name), args, options)
        },
      })
    }
  }
}
