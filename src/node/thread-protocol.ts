import { errorFromInfo, errorInfo, type ErrorInfo } from '../errors.js'
import type { StartCause } from '../actor/death.js'
import { decodeFrame, encodeFrame, type ValueHooks } from '../wire/index.js'

/**
 * What a thread host and its thread say to each other: `[tag, id, body?]`. Payloads of users travel as frames, so that
 * they mean the same as between processes; everything else is the runtime's own plain data. Answers carry the id of
 * what they answer.
 */
export type ThreadMessage = readonly [tag: ThreadTag, id: number, body?: unknown]

export type ThreadTag =
  // to the thread: answered with 'value' or 'error'
  | 'start' // body: StartBody
  | 'tell' // body: frame
  | 'ask' // body: frame
  | 'terminated' // body: TerminatedBody
  | 'callback' // id of a callback of the thread's in the body
  | 'stop' // body: ReasonData
  | 'ping'
  // to the thread: not answered
  | 'abort'
  | 'child-gone' // body: path
  // answers, both ways
  | 'value' // body: absent, a primitive, or a frame with one argument
  | 'error' // body: ErrorInfo
  | 'refused' // a 'tell' or 'ask' that reached no handler; body: ErrorInfo
  // from the thread: requests answered with 'value' or 'error'
  | 'send-ask' // body: SendBody
  | 'spawn' // body: SpawnBody
  | 'stop-child' // body: path
  // from the thread: not answered
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
  | 'settle-error' // id of the deferred reply; body: ErrorInfo
  | 'log' // body: [level, message, fields]

export interface SendBody {
  readonly path: string
  readonly frame: Uint8Array
  readonly timeoutMs?: number | undefined
}

export interface SpawnBody {
  readonly type: string
  readonly module: string | undefined
  /** Spawn options less `args`, which travel as a frame of one argument. */
  readonly options: Readonly<Record<string, unknown>>
  readonly args: Uint8Array
}

/** What a spawned or adopted child is known by in the thread. */
export interface ActorName {
  readonly path: string
  readonly type: string
}

/** A death reason whose cause has become plain data. */
export type ReasonData =
  | { readonly kind: 'failed'; readonly cause: ErrorInfo }
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
  /** The spawn's `args` as a frame of one argument. */
  readonly args: Uint8Array
  /** One word: 1 once the incarnation begins to end. Seen also by code that blocks its event loop. */
  readonly control: SharedArrayBuffer
}

/** Frames at least this long are handed over rather than copied. */
const TRANSFER_BYTES = 64 * 1024

/** The buffers among these that are worth handing over: nobody here uses them afterwards. */
export function transferable(frame: unknown): ArrayBuffer[] {
  return frame instanceof Uint8Array &&
    frame.byteLength >= TRANSFER_BYTES &&
    frame.buffer instanceof ArrayBuffer
    ? [frame.buffer]
    : []
}

/** A value for the body of 'value': primitives as they are, the rest as a frame. */
export function packValue(value: unknown, hooks: ValueHooks): unknown {
  if (value === undefined || value === null || typeof value === 'number' || typeof value === 'boolean')
    return value
  if (typeof value === 'string') return value
  return packArgs('', [value], hooks)
}

export function unpackValue(body: unknown, hooks: ValueHooks): unknown {
  return body instanceof Uint8Array ? unpackArgs(body, hooks).args[0] : body
}

/** A message as a frame of its own bytes: a posted view takes its whole buffer along, and so would `slice`. */
export function packArgs(name: string, args: readonly unknown[], hooks: ValueHooks): Uint8Array {
  const frame = encodeFrame({ kind: 'tell', target: '/' }, name, args, hooks)
  return frame.byteLength === frame.buffer.byteLength ? frame : new Uint8Array(frame)
}

export function unpackArgs(frame: Uint8Array, hooks: ValueHooks): { name: string; args: unknown[] } {
  return decodeFrame(frame, hooks)
}

export function packReason(reason: { kind: string; cause?: unknown; node?: string }): ReasonData {
  return (
    reason.kind === 'failed' ? { kind: 'failed', cause: errorInfo(reason.cause) } : reason
  ) as ReasonData
}

export function unpackReason(data: ReasonData) {
  return data.kind === 'failed' ? ({ kind: 'failed', cause: errorFromInfo(data.cause) } as const) : data
}

export function unpackCause(cause: CauseData): StartCause {
  return cause.kind === 'spawned' ? cause : { ...cause, reason: unpackReason(cause.reason) }
}
