import { z } from 'zod'
import type { ActorType } from '../actor/protocol.js'
import { MAX_DELAY_MS } from '../actor/timers.js'
import { parseOptions } from '../config/parse.js'

/** Who is restarted with a child that failed, in start order. */
export type Strategy =
  /** It alone. */
  | 'one-for-one'
  /** All children. */
  | 'one-for-all'
  /** It and those started after it. */
  | 'rest-for-one'

/** What becomes of a child that failed. `resume` keeps its instance and goes on with the next message. */
export type Directive = 'restart' | 'resume' | 'stop' | 'escalate'

/** Who failed, for a decider. */
export interface FailedChild {
  readonly path: string
  /** The registered name of its class. */
  readonly type: string
  readonly restarts: number
}

/**
 * How an actor supervises its children: `static supervision: SupervisionOptions = { … }` on its class.
 */
export interface SupervisionOptions {
  /** @default 'one-for-one' */
  readonly strategy?: Strategy
  /**
   * More restarts than this in `withinMs` end the supervisor itself, which fails to its own parent. Failures count;
   * a kill or a lost node counts only if the child reported no `ctx.progress()` since the last.
   * @default 3
   */
  readonly maxRestarts?: number
  /** @default 60000 */
  readonly withinMs?: number
  readonly backoff?: BackoffOptions
  /** Asked for each failure, not for kills. @default restart always */
  readonly decide?: (error: unknown, child: FailedChild) => Directive
  /** Which ends of significant children end this actor: the first, or the last one. @default 'any' */
  readonly autoShutdown?: 'any' | 'all'
}

/** The first restart in `withinMs` is immediate; the k-th waits `baseMs * factor^(k-2)`, at most `maxMs`. */
export interface BackoffOptions {
  /** @default 100 */
  readonly baseMs?: number
  /** @default 2 */
  readonly factor?: number
  /** @default 10000 */
  readonly maxMs?: number
  /** The wait is spread by up to this part of itself, either way. 0 to 1. @default 0.2 */
  readonly jitter?: number
}

export const DEFAULT_MAX_RESTARTS = 3
export const DEFAULT_WITHIN_MS = 60_000
export const DEFAULT_BACKOFF_BASE_MS = 100
export const DEFAULT_BACKOFF_FACTOR = 2
export const DEFAULT_BACKOFF_MAX_MS = 10_000
export const DEFAULT_BACKOFF_JITTER = 0.2

/** Jitter can double a wait, and then it must still be one that timers can hold. */
const MAX_BACKOFF_MS = Math.floor(MAX_DELAY_MS / 2)

/** What is accepted, with the defaults. */
export const supervisionSchema = z.strictObject({
  strategy: z.enum(['one-for-one', 'one-for-all', 'rest-for-one']).default('one-for-one'),
  maxRestarts: z.number().int().min(0).default(DEFAULT_MAX_RESTARTS),
  withinMs: z.number().positive().default(DEFAULT_WITHIN_MS),
  backoff: z
    .strictObject({
      baseMs: z.number().min(0).default(DEFAULT_BACKOFF_BASE_MS),
      factor: z.number().min(1).default(DEFAULT_BACKOFF_FACTOR),
      maxMs: z.number().min(0).max(MAX_BACKOFF_MS).default(DEFAULT_BACKOFF_MAX_MS),
      jitter: z.number().min(0).max(1).default(DEFAULT_BACKOFF_JITTER),
    })
    .prefault({}),
  decide: z
    .custom<NonNullable<SupervisionOptions['decide']>>(
      value => typeof value === 'function',
      'expected a function',
    )
    .optional(),
  autoShutdown: z.enum(['any', 'all']).default('any'),
})

/** Supervision options with their defaults. */
export type Supervision = z.output<typeof supervisionSchema>

/** @throws ERR_INVALID_OPTION naming the option */
export function compileSupervision(options: SupervisionOptions): Supervision {
  return parseOptions(supervisionSchema, options, 'supervision option')
}

export const DEFAULT_SUPERVISION: Supervision = compileSupervision({})

const compiled = new WeakMap<ActorType, Supervision>()

/** How a class supervises: its `static supervision`, inherited ones included. */
export function supervisionOf(type: ActorType): Supervision {
  let supervision = compiled.get(type)
  if (supervision === undefined) {
    const declared = (type.ctor as { supervision?: SupervisionOptions }).supervision
    supervision = declared === undefined ? DEFAULT_SUPERVISION : compileSupervision(declared)
    compiled.set(type, supervision)
  }
  return supervision
}
