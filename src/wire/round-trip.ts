import { decodeFrame, encodeFrame } from './frame.js'
import type { Envelope } from './envelope.js'
import type { SharedBuffers } from './shared-memory.js'
import type { ValueHooks } from './value-hooks.js'

const ENVELOPE: Envelope = { kind: 'tell', target: '/' }

/**
 * What would arrive if these arguments went to another actor of this process: shared memory is shared, all else as if it
 * went to another process. The given ones and the result are frozen (plain
 * objects and arrays, deeply): an actor that changes what it has sent, or what it was sent, and so works only while
 * both sides share memory, fails where it does so.
 *
 * @throws TroupeError ERR_PAYLOAD naming the path to an argument that cannot be sent
 */
export function roundTrip(args: readonly unknown[], hooks?: ValueHooks): unknown[] {
  const shared: SharedBuffers = []
  const frame = encodeFrame(ENVELOPE, '', args, hooks, shared)
  const arrived = decodeFrame(frame, hooks, shared).args
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
