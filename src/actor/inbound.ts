import { describe, TroupeError } from '../errors.js'
import type { ActorType, HandlerEntry } from './protocol.js'

/** A message that came from another thread or process, ready for a mailbox. */
export interface Inbound {
  readonly handler: HandlerEntry
  readonly payload: unknown
}

/**
 * Finds the handler for a message by name and checks its first argument against the handler's schema.
 *
 * @throws ERR_UNKNOWN_MESSAGE the class has no such handler; ERR_PAYLOAD the schema refused it
 */
export function inbound(type: ActorType, name: string, args: readonly unknown[]): Inbound {
  const handler = type.handlers.get(name)
  if (handler === undefined) {
    throw new TroupeError(
      'ERR_UNKNOWN_MESSAGE',
      `${type.name} handles no message ${describe(name)}; it handles ${[...type.handlers.keys()].join(', ') || 'none'}`,
      { data: { type: type.name, message: name } },
    )
  }
  let first = args[0]
  if (handler.schema !== undefined) {
    try {
      first = handler.schema.parse(first)
    } catch (error) {
      throw new TroupeError('ERR_PAYLOAD', `the payload of ${type.name}.${name} does not fit its schema`, {
        data: { type: type.name, message: name },
        cause: error,
      })
    }
  }
  return args.length <= 1
    ? { handler, payload: first }
    : { handler: handler.several, payload: [first, ...args.slice(1)] }
}
