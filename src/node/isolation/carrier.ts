import type { ResourceLimits } from 'node:worker_threads'
import type { IsolationMessage } from './isolation-protocol.js'

/**
 * The way from a host to the thread or process of its actor. Messages arrive whole and in order, in both directions; the
 * end comes once, after every message that the other side had sent.
 */
export interface Carrier {
  /** Nothing that is posted may be changed afterwards. What is posted after the end is dropped. */
  post(message: IsolationMessage): void
  /** Sets the actor's control word: code that blocks its event loop sees it too. */
  abort(): void
  /** Ends the other side, without hooks of the actor; `kill`: without those of Node either. */
  end(kill: boolean): void
}

/** A way to run actors apart. */
export interface Isolating {
  /** What the other side is, in words: a reason says so. */
  readonly place: 'thread' | 'process'
  /** Do shared buffers go along by reference? If not they are refused. */
  readonly sharesMemory: boolean
  /** Starts the other side for one incarnation. */
  open(spec: CarrierSpec, events: CarrierEvents): Carrier
}

/** What a host is told by its carrier. */
export interface CarrierEvents {
  message(message: IsolationMessage): void
  ended(ending: Ending): void
}

/** How a thread or process ended by itself. */
export type Ending =
  /** By `process.exit`, or as nothing kept it alive. */
  | { readonly kind: 'exited'; readonly exitCode: number }
  /** By a signal: a native abort, a segmentation fault, the machine out of memory. */
  | { readonly kind: 'signal'; readonly signal: string; readonly lastWords: string }
  /** At its heap limit. */
  | { readonly kind: 'memory'; readonly cause: unknown }
  /** By an error outside any handler, its module's loading included; or it could not be started at all. */
  | { readonly kind: 'failed'; readonly cause: unknown }

/** What a carrier starts. */
export interface CarrierSpec {
  /** The actor's path: names the thread or process for debuggers and `ps`. */
  readonly path: string
  /** URL of the module that declares the actor. */
  readonly module: string
  readonly resourceLimits: ResourceLimits | undefined
}
