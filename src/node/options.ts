import { z } from 'zod'
import { DEFAULT_ASK_TIMEOUT_MS } from '../actor/ask.js'
import type { Logger } from '../actor/logger.js'
import { parseOptions } from '../config/parse.js'
import type { Clock, Random, Scheduler, Token } from '../determinism/index.js'
import type { Transport } from '../transport/port.js'
import type { Membership } from './membership.js'
import { compileRemoting, type RemotingLimits, type RemotingOptions } from './remoting/options.js'
import { supervisionSchema, type SupervisionOptions } from '../supervision/index.js'

/** A service for actors' constructors: `constructor(@inject(Token) service: Service)`. */
export interface Provider<T = unknown> {
  readonly token: Token<T> | (new (...args: never[]) => T)
  readonly value: T
}

/** Makes the runtime one node of several. */
export interface ClusterOptions {
  /** Carries frames between the nodes. */
  readonly transport: Transport
  /** Knows who belongs to the cluster; `self` is this node's address. */
  readonly membership: Membership
  readonly remoting?: RemotingOptions
}

export interface TroupeOptions {
  /** Names the runtime in events and logs. @default 'troupe' */
  readonly name?: string
  /** Seeds `ctx.random` and backoff jitter. @default drawn from the machine */
  readonly seed?: number
  /** Milliseconds until an ask without a timeout of its own fails with ERR_ASK_TIMEOUT. @default 5000 */
  readonly askTimeoutMs?: number
  /**
   * Freezes payloads and sends them through the codec, so that what works inline works remotely. For tests: slow.
   * @default false
   */
  readonly strictPayloads?: boolean
  /** How the actors spawned by the runtime itself are supervised. */
  readonly supervision?: SupervisionOptions
  /** Services for constructors. */
  readonly provide?: readonly Provider[]
  /** Where the runtime's and the actors' words go. @default nowhere, but a failed runtime is told on stderr */
  readonly log?: Logger
  /** @default the runtime is alone */
  readonly cluster?: ClusterOptions
  /** @default the machine's */
  readonly clock?: Clock
  /** @default seeded with `seed` */
  readonly random?: Random
  /** @default the event loop */
  readonly scheduler?: Scheduler
}

export const DEFAULT_NAME = 'troupe'

const hasMethods =
  (...names: string[]) =>
  (value: unknown): boolean =>
    typeof value === 'object' &&
    value !== null &&
    names.every(name => typeof (value as Record<string, unknown>)[name] === 'function')

const method = <T>(...names: string[]) =>
  z.custom<T>(hasMethods(...names), `expected an object with ${names.join(', ')}`).optional()

const provider = z.strictObject({
  token: z.custom<Provider['token']>(
    value => typeof value === 'symbol' || typeof value === 'function',
    'expected a token made with token(), or a class',
  ),
  value: z.custom<unknown>(value => value !== undefined, 'expected the service'),
})

const schema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 of [A-Za-z0-9_-]')
    .default(DEFAULT_NAME),
  seed: z.number().int().min(0).max(0xffffffff).optional(),
  askTimeoutMs: z.number().positive().default(DEFAULT_ASK_TIMEOUT_MS),
  strictPayloads: z.boolean().default(false),
  supervision: supervisionSchema.prefault({}),
  provide: z.array(provider).default([]),
  log: method<Logger>('debug', 'info', 'warn', 'error'),
  cluster: z
    .strictObject({
      transport: z.custom<Transport>(hasMethods('open'), 'expected an object with open'),
      membership: z.custom<Membership>(
        hasMethods('members', 'subscribe'),
        'expected an object with members, subscribe',
      ),
      remoting: z.custom<RemotingOptions>().default({}),
    })
    .optional(),
  clock: method<Clock>('now', 'monotonic', 'after'),
  random: method<Random>('next', 'below', 'fork'),
  scheduler: method<Scheduler>('microtask', 'immediate'),
})

/** Runtime options with their defaults. */
export type RuntimeOptions = Omit<z.output<typeof schema>, 'cluster'> & {
  readonly cluster: CompiledCluster | undefined
}

export interface CompiledCluster {
  readonly transport: Transport
  readonly membership: Membership
  readonly limits: RemotingLimits
}

/** @throws ERR_INVALID_OPTION naming the option */
export function compileOptions(options: TroupeOptions): RuntimeOptions {
  const given = parseOptions(schema, options, 'runtime option')
  const { cluster } = given
  return {
    ...given,
    cluster: cluster && {
      transport: cluster.transport,
      membership: cluster.membership,
      limits: compileRemoting(cluster.remoting),
    },
  }
}
