import { errorFromInfo, errorInfo } from '../../errors.js'
import type { StartCause } from '../../actor/death.js'
import { decodeFrame, encodeFrame, type SharedBuffers, type ValueHooks } from '../../wire/index.js'

/**
 * What the host of an isolated actor and the other side, its thread or process, say to each other: `[tag, id, body?]`.
 * Payloads of users travel as frames, so that they mean the same wherever it runs; everything else is the runtime's own
 * plain data. Answers carry the id of what they answer.
 */
export type IsolationMessage = readonly [tag: IsolationTag, id: number, body?: unknown]

export type IsolationTag =
  // to the other side: answered with 'value' or 'error'
  | 'start' // body: StartBody
  | 'tell' // body: SealedMessage
  | 'ask' // body: SealedMessage
  | 'terminated' // body: TerminatedBody
  | 'callback' // id of one of its callbacks in the body
  | 'stop' // body: ReasonData
  | 'ping'
  // to the other side: not answered
  | 'abort'
  | 'child-gone' // body: path
  // answers, both ways
  | 'value' // body: absent, a primitive, or a SealedFrame with one argument
  | 'error' // body: PackedError
  | 'refused' // a 'tell' or 'ask' that reached no handler; body: PackedError
  // from the other side: requests answered with 'value' or 'error'
  | 'send-ask' // body: SendBody
  | 'spawn' // body: SpawnBody
  | 'stop-child' // body: path
  // from the other side: not answered
  | 'loaded'
  | 'fatal' // an error outside any handler, before it ends its process; body: PackedError
  | 'send-tell' // body: SendBody
  | 'abort-ask' // id of the ask
  | 'kill-child' // body: path
  | 'watch' // body: path
  | 'unwatch' // body: path
  | 'after' // id of the callback; body: delayMs
  | 'every' // id of the callback; body: periodMs
  | 'cancel' // id of the callback
  | 'run' // id of the callback
  | 'stop-self'
  | 'progress'
  | 'defer' // id of the deferred reply
  | 'settle-value' // id of the deferred reply; body as 'value'
  | 'settle-error' // id of the deferred reply; body: PackedError
  | 'log' // body: [level, message, fields]

export interface SendBody {
  readonly path: string
  readonly message: SealedMessage
  readonly timeoutMs?: number | undefined
}

export interface SpawnBody {
  readonly type: string
  readonly module: string | undefined
  /** Spawn options less `args`. */
  readonly options: Readonly<Record<string, unknown>>
  readonly args: SealedMessage
}

/** What a spawned or adopted child is known by on the other side. */
export interface ActorName {
  readonly path: string
  readonly type: string
}

/** A death reason whose cause has become plain data. */
export type ReasonData =
  | { readonly kind: 'failed'; readonly cause: PackedError }
  | { readonly kind: 'stopped' | 'killed' | 'never-existed' }
  | { readonly kind: 'node-lost'; readonly node: string }

export interface TerminatedBody {
  readonly path: string
  readonly incarnation: number
  readonly reason: ReasonData
}

export type CauseData =
  | { readonly kind: 'spawned' }
  | { readonly kind: 'restarted'; readonly reason: ReasonData; readonly restarts: number }

export interface StartBody {
  readonly type: string
  readonly module: string
  readonly path: string
  readonly incarnation: number
  readonly parent: ActorName | undefined
  readonly children: readonly ActorName[]
  readonly seed: number
  readonly cause: CauseData
  /** The spawn's `args`, as a message's one argument. */
  readonly args: SealedMessage
}

/** How values cross the border. */
export interface Crossing {
  /** How refs travel. */
  readonly hooks: ValueHooks
  /** Do shared buffers go along by reference? If not they are refused. */
  readonly sharesMemory: boolean
}

/** Is it the same value after a structured clone as after the codec? Then it can do without a frame. */
function isPrimitive(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    typeof value === 'number' ||
    typeof value === 'string' ||
    typeof value === 'boolean'
  )
}

/** A value for the body of 'value': primitives as they are, the rest as a frame. */
export function packValue(value: unknown, crossing: Crossing): unknown {
  return isPrimitive(value) ? value : sealFrame('', [value], crossing)
}

export function unpackValue(body: unknown, { hooks }: Crossing): unknown {
  return isPrimitive(body) ? body : openFrame(body as SealedFrame, hooks).args[0]
}

/** A frame; or one and the shared buffers that it names, which the other side gets by reference. */
export type SealedFrame = Uint8Array | readonly [frame: Uint8Array, ...shared: SharedArrayBuffer[]]

/**
 * A message that waits for its actor: a frame; or its name and arguments where those are primitives, which saves a
 * quarter of the round trip.
 */
export type SealedMessage = SealedFrame | readonly [name: string, ...args: unknown[]]

/** @throws ERR_PAYLOAD, ERR_SHARED_MEMORY naming the path to an argument that cannot be sent */
export function seal(name: string, args: readonly unknown[], crossing: Crossing): SealedMessage {
  return args.every(isPrimitive) ? [name, ...args] : sealFrame(name, args, crossing)
}

export function unseal(message: SealedMessage, { hooks }: Crossing): { name: string; args: unknown[] } {
  if (isNamed(message)) {
    const [name, ...args] = message
    return { name, args }
  }
  return openFrame(message, hooks)
}

function isNamed(message: SealedMessage): message is readonly [name: string, ...args: unknown[]] {
  return typeof message[0] === 'string'
}

/** A frame of its own bytes: a posted view takes its whole buffer along, and so would `slice`. */
function sealFrame(name: string, args: readonly unknown[], crossing: Crossing): SealedFrame {
  const { hooks, sharesMemory } = crossing
  const shared: SharedBuffers | undefined = sharesMemory ? [] : undefined
  const frame = encodeFrame({ kind: 'tell', target: '/' }, name, args, hooks, shared)
  const own = frame.byteLength === frame.buffer.byteLength ? frame : new Uint8Array(frame)
  return shared === undefined || shared.length === 0 ? own : [own, ...shared]
}

function openFrame(sealed: SealedFrame, hooks: ValueHooks) {
  if (sealed instanceof Uint8Array) return decodeFrame(sealed, hooks)
  const [frame, ...shared] = sealed
  return decodeFrame(frame, hooks, shared)
}

/** An error as a frame: whatever hangs on it, it gets through. Data that cannot be sent are dropped, and it says so. */
export type PackedError = SealedFrame

const NO_HOOKS: ValueHooks = { encode: () => undefined, decode: () => undefined }

export function packError(error: unknown, { sharesMemory }: Pick<Crossing, 'sharesMemory'>): PackedError {
  const packed = error instanceof Error ? error : errorFromInfo(errorInfo(error))
  return sealFrame('', [packed], { hooks: NO_HOOKS, sharesMemory })
}

export function unpackError(packed: unknown): Error {
  return openFrame(packed as PackedError, NO_HOOKS).args[0] as Error
}

export function packReason(
  reason: { kind: string; cause?: unknown; node?: string },
  crossing: Crossing,
): ReasonData {
  return (
    reason.kind === 'failed' ? { kind: 'failed', cause: packError(reason.cause, crossing) } : reason
  ) as ReasonData
}

export function unpackReason(data: ReasonData) {
  return data.kind === 'failed' ? ({ kind: 'failed', cause: unpackError(data.cause) } as const) : data
}

export function unpackCause(cause: CauseData): StartCause {
  return cause.kind === 'spawned' ? cause : { ...cause, reason: unpackReason(cause.reason) }
}
