import { describe, TroupeError } from '../errors.js'
import { typeOfName } from '../actor/foreign-type.js'
import { ActorRef, type RefTarget } from '../actor/ref.js'
import { RouteTarget } from '../actor/route.js'
import type { ValueHooks } from '../wire/index.js'

const REF = 'ref'

/** Lets refs travel: as their path and the name of their class. They arrive unbound; the receiver's cell binds them. */
export function refHooks(resolve: (path: string) => RefTarget): ValueHooks {
  return {
    encode: value => {
      if (!(value instanceof ActorRef)) return undefined
      if (value.target instanceof RouteTarget) {
        throw new TroupeError('ERR_PAYLOAD', `${value.path} cannot be sent: send its members`)
      }
      return [REF, [value.path, value.typeName]]
    },
    decode: (tag, data) => {
      if (tag !== REF) return undefined
      if (!Array.isArray(data) || typeof data[0] !== 'string' || typeof data[1] !== 'string') {
        throw new TroupeError('ERR_PAYLOAD', `a ref travels as [path, type], got ${describe(data)}`)
      }
      return new ActorRef(resolve(data[0]), typeOfName(data[1]), undefined)
    },
  }
}
