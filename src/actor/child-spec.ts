import type { ResourceLimits } from 'node:worker_threads'
import { z } from 'zod'
import { parseOptions } from '../config/parse.js'
import { MAX_DELAY_MS } from './timers.js'

/** Where an actor's code runs. */
export type Isolation =
  /** On the node's event loop. */
  | 'inline'
  /** In a worker thread: contains JavaScript failures, blocking and memory use; not native aborts. */
  | 'thread'
  /** In a child process: contains native aborts, crashes and exits as well. Shared memory cannot go there. */
  | 'process'

/**
 * When a child that ended is started again.
 * permanent: always; transient: when it failed or was killed; failover: when it was killed or its node was lost, and
 * its failure is final; temporary: never.
 */
export type RestartType = 'permanent' | 'transient' | 'failover' | 'temporary'

/** How a child is spawned and supervised, as in OTP's child specification. */
export interface SpawnOptions {
  /** Unique among its siblings; 1 to 64 of [A-Za-z0-9_-]. */
  readonly name: string
  /** Given to the constructor by `@inject(Args)`. Plain data if the actor is isolated. */
  readonly args?: unknown
  /** @default 'transient' */
  readonly restart?: RestartType
  /** Its own end for good ends its parent as well. @default false */
  readonly significant?: boolean
  /** Milliseconds that the current message, and then `onStop`, may take before the actor is ended without. @default 5000 */
  readonly shutdownMs?: number
  /**
   * linked: stopped before its parent restarts. leased: outlives that, and must be adopted by the next incarnation
   * (which spawns the same name) within `leaseMs`.
   * @default 'linked'
   */
  readonly lifetime?: 'linked' | 'leased'
  /** @default 10000 */
  readonly leaseMs?: number
  /** @default 'inline' */
  readonly isolation?: Isolation
  /** Heap limits of an isolated actor's thread or process. @default Node's */
  readonly resourceLimits?: ResourceLimits
  readonly mailbox?: MailboxLimits
}

/** At a limit a tell becomes a dead letter and an ask fails with ERR_MAILBOX_FULL. */
export interface MailboxLimits {
  /** @default 131072 */
  readonly maxMessages?: number
  /** Frames and binary payloads by length, strings 2 a character, anything else, shared memory too, 64. @default 67108864 */
  readonly maxBytes?: number
}

export const DEFAULT_SHUTDOWN_MS = 5_000
export const DEFAULT_LEASE_MS = 10_000
export const DEFAULT_MAX_MESSAGES = 131_072
export const DEFAULT_MAX_BYTES = 64 * 1024 * 1024

/** Spawn options with their defaults, less name and args: shared by the many actors spawned with none. */
export interface ChildSpec {
  readonly restart: RestartType
  readonly significant: boolean
  readonly shutdownMs: number
  readonly lifetime: 'linked' | 'leased'
  readonly leaseMs: number
  readonly isolation: Isolation
  readonly resourceLimits: ResourceLimits | undefined
  readonly maxMessages: number
  readonly maxBytes: number
}

export const DEFAULT_CHILD_SPEC: ChildSpec = Object.freeze({
  restart: 'transient',
  significant: false,
  shutdownMs: DEFAULT_SHUTDOWN_MS,
  lifetime: 'linked',
  leaseMs: DEFAULT_LEASE_MS,
  isolation: 'inline',
  resourceLimits: undefined,
  maxMessages: DEFAULT_MAX_MESSAGES,
  maxBytes: DEFAULT_MAX_BYTES,
})

const positiveMs = z.number().min(0).max(MAX_DELAY_MS)
const schema = z.strictObject({
  name: z.unknown(),
  args: z.unknown().optional(),
  restart: z.enum(['permanent', 'transient', 'failover', 'temporary']).default('transient'),
  significant: z.boolean().default(false),
  shutdownMs: positiveMs.default(DEFAULT_SHUTDOWN_MS),
  lifetime: z.enum(['linked', 'leased']).default('linked'),
  leaseMs: positiveMs.default(DEFAULT_LEASE_MS),
  isolation: z.enum(['inline', 'thread', 'process']).default('inline'),
  resourceLimits: z.custom<ResourceLimits>(value => typeof value === 'object').optional(),
  mailbox: z
    .strictObject({
      maxMessages: z.number().int().min(1).default(DEFAULT_MAX_MESSAGES),
      maxBytes: z.number().int().min(1).default(DEFAULT_MAX_BYTES),
    })
    .prefault({}),
})

/**
 * Applies the defaults of spawn options and checks them.
 *
 * @throws ERR_INVALID_OPTION naming the option, the value got and what is accepted
 */
export function compileChildSpec(options: SpawnOptions): ChildSpec {
  if (onlyNameAndArgs(options)) return DEFAULT_CHILD_SPEC
  const given = parseOptions(schema, options, 'spawn option')
  return {
    restart: given.restart,
    significant: given.significant,
    shutdownMs: given.shutdownMs,
    lifetime: given.lifetime,
    leaseMs: given.leaseMs,
    isolation: given.isolation,
    resourceLimits: given.resourceLimits,
    maxMessages: given.mailbox.maxMessages,
    maxBytes: given.mailbox.maxBytes,
  }
}

function onlyNameAndArgs(options: SpawnOptions): boolean {
  for (const key in options) if (key !== 'name' && key !== 'args') return false
  return true
}
