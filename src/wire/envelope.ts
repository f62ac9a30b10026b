import { glimpse } from './glimpse.js'
import { badFrame } from './frame-error.js'

/**
 * What a frame is for. The first six carry users' messages and their outcomes, the rest is the runtime's own.
 * Strings on the wire; a new one may be added, none is ever renamed.
 */
export const ENVELOPE_KINDS = [
  /** A message that expects no answer. */
  'tell',
  /** A message that expects `reply`, `failure` or `refused` with its correlation. */
  'ask',
  /** The answer to an ask. */
  'reply',
  /** The asked actor failed, or the ask could not be delivered. The argument is the error. */
  'failure',
  /** The handler refused as expected (`Rejected`). The argument is the error. */
  'refused',
  /** The incarnation the frame was meant for is not here: the frame is returned. */
  'moved',
  'watch',
  'unwatch',
  /** What was watched has died. The argument is the reason. */
  'terminated',
  'ack',
  /** Where is this path? */
  'resolve',
  /** It is here: node, node incarnation, actor incarnation. */
  'located',
  'spawn',
  'stop',
  /** A control message to a cell or node that is none of the others. */
  'signal',
] as const

export type EnvelopeKind = (typeof ENVELOPE_KINDS)[number]

/** One ask that led to this message: the asked actor's path, its incarnation, the ask's sequence. */
export type ChainLink = readonly [path: string, incarnation: number, sequence: number]

/** W3C Trace Context, as its two headers have it. */
export interface TraceContext {
  readonly parent: string
  readonly state?: string | undefined
}

/** What a frame says about itself beside the message. An absent field costs nothing on the wire. */
export interface Envelope {
  readonly kind: EnvelopeKind
  /** The path of the actor it is meant for, such as `/mnist/ps-0`. */
  readonly target: string
  /** The one incarnation of the target it is meant for; another answers `moved`. Absent: whichever is there. */
  readonly targetIncarnation?: number | undefined
  /** The path of the sending actor. Absent: sent from outside any actor. */
  readonly sender?: string | undefined
  /** Place in the ordered stream from sender to target. A gap is a loss. */
  readonly sequence?: number | undefined
  /**
   * The number of the ordered stream that `sequence` counts in; grows with each that the sending node begins, so that
   * a receiver tells a new stream from a gap in the old one.
   */
  readonly stream?: number | undefined
  /** Ties an answer to its ask; chosen by the asker. */
  readonly correlation?: number | undefined
  /** How long the asker still waits, in milliseconds, when the frame was written. */
  readonly msLeft?: number | undefined
  /** The asks that led here, oldest first: an ask back into one of these actors is a cycle. */
  readonly chain?: readonly ChainLink[] | undefined
  readonly trace?: TraceContext | undefined
}

export type EnvelopeField = keyof Envelope

/** The envelope on the wire: an array in this order, nil for what is absent, ended after the last present. */
const MIN_LENGTH = 2
const MAX_LENGTH = 10

const KINDS: ReadonlySet<unknown> = new Set(ENVELOPE_KINDS)

export function envelopeToWire(envelope: Envelope): unknown[] {
  const { trace } = envelope
  const wire: unknown[] = [
    envelope.kind,
    envelope.target,
    envelope.targetIncarnation ?? null,
    envelope.sender ?? null,
    envelope.sequence ?? null,
    envelope.stream ?? null,
    envelope.correlation ?? null,
    envelope.msLeft ?? null,
    envelope.chain ?? null,
    trace === undefined ? null : trace.state === undefined ? [trace.parent] : [trace.parent, trace.state],
  ]
  while (wire.at(-1) === null) wire.pop()
  return wire
}

/** @throws TroupeError ERR_FRAME naming the field that is not what it must be */
export function envelopeFromWire(wire: unknown): Envelope {
  if (!Array.isArray(wire) || wire.length < MIN_LENGTH || wire.length > MAX_LENGTH) {
    throw badFrame('envelope', `must be an array of ${MIN_LENGTH} to ${MAX_LENGTH}, got ${glimpse(wire)}`)
  }
  const values: readonly unknown[] = wire
  if (!KINDS.has(values[0])) throw badFrame('kind', `unknown kind ${glimpse(values[0])}`)
  return {
    kind: values[0] as EnvelopeKind,
    target: text(values[1], 'target'),
    targetIncarnation: optionalCount(values[2], 'targetIncarnation'),
    sender: values[3] == null ? undefined : text(values[3], 'sender'),
    sequence: optionalCount(values[4], 'sequence'),
    stream: optionalCount(values[5], 'stream'),
    correlation: optionalCount(values[6], 'correlation'),
    msLeft: optionalMs(values[7]),
    chain: values[8] == null ? undefined : chainFromWire(values[8]),
    trace: values[9] == null ? undefined : traceFromWire(values[9]),
  }
}

function text(value: unknown, field: EnvelopeField): string {
  if (typeof value === 'string') return value
  throw badFrame(field, `must be a string, got ${glimpse(value)}`)
}

function optionalCount(value: unknown, field: EnvelopeField): number | undefined {
  return value == null ? undefined : count(value, field)
}

/** Other writers send integers from 2^32 on as 64 bit, which reads as bigint here. */
function count(value: unknown, field: EnvelopeField): number {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number === 'number' && number >= 0 && Number.isSafeInteger(number)) return number
  throw badFrame(field, `must be a whole number from 0 to 2^53 - 1, got ${glimpse(value)}`)
}

function optionalMs(value: unknown): number | undefined {
  if (value == null) return undefined
  if (typeof value === 'number' && value >= 0 && value < Infinity) return value
  throw badFrame('msLeft', `must be milliseconds from 0 on, got ${glimpse(value)}`)
}

function chainFromWire(wire: unknown): ChainLink[] {
  if (!Array.isArray(wire)) throw badFrame('chain', `must be an array, got ${glimpse(wire)}`)
  return wire.map((link: unknown) => {
    if (!Array.isArray(link) || link.length !== 3) {
      throw badFrame('chain', `a link must be [path, incarnation, sequence], got ${glimpse(link)}`)
    }
    return [text(link[0], 'chain'), count(link[1], 'chain'), count(link[2], 'chain')] as const
  })
}

function traceFromWire(wire: unknown): TraceContext {
  if (!Array.isArray(wire) || wire.length < 1 || wire.length > 2) {
    throw badFrame('trace', `must be [parent] or [parent, state], got ${glimpse(wire)}`)
  }
  const parent = text(wire[0], 'trace')
  return wire.length === 1 ? { parent } : { parent, state: text(wire[1], 'trace') }
}
