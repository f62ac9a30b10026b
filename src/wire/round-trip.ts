import { decodeFrame, encodeFrame } from './frame.js'
import type { Envelope } from './envelope.js'
import type { ValueHooks } from './value-hooks.js'

const ENVELOPE: Envelope = { kind: 'tell', target: '/' }

/**
 * What would arrive if these arguments went to another process. The given ones and the result are frozen (plain
 * objects and arrays, deeply): an actor that changes what it has sent, or what it was sent, and so works only while
 * both sides share memory, fails where it does so.
 *
 * @throws TroupeError ERR_PAYLOAD naming the path to an argument that cannot be sent
 */
export function roundTrip(args: readonly unknown[], hooks?: ValueHooks): unknown[] {
  const arrived = decodeFrame(encodeFrame(ENVELOPE, '', args, hooks), hooks).args
  const seen = new Set<object>()
  for (const value of args) freeze(value, seen)
  for (const value of arrived) freeze(value, seen)
  return arrived
}

function freeze(value: unknown, seen: Set<object>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  const prototype: unknown = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return
  seen.add(value)
  for (const part of Object.values(Object.freeze(value))) freeze(part, seen)
}
