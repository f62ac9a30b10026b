import { z } from 'zod'
import { parseOptions } from '../../config/parse.js'

/** Bounds and times of the traffic between nodes. At a bound a tell becomes a dead letter, an ask fails by name. */
export interface RemotingOptions {
  /** Messages that one pair of actors holds while their way is looked for or full. @default 1024 */
  readonly maxPairMessages?: number
  /** Their bytes, as frames. @default 4194304 */
  readonly maxPairBytes?: number
  /** Messages that all pairs of this node hold. @default 65536 */
  readonly maxHeldMessages?: number
  /** Their bytes. @default 67108864 */
  readonly maxHeldBytes?: number
  /** Asks of this node to others that wait for a reply. @default 65536 */
  readonly maxPendingAsks?: number
  /** System messages to one node that it has not acknowledged; beyond, it counts as lost. @default 16384 */
  readonly maxSystemMessages?: number
  /** Their bytes. @default 16777216 */
  readonly maxSystemBytes?: number
  /** How long nobody may know a path before it counts as never having existed. @default 1000 */
  readonly resolveGraceMs?: number
  /** First pause between two questions where an actor is; doubles up to a second. @default 100 */
  readonly resolveEveryMs?: number
  /** How long a tell waits for its receiver to be found; asks have their own timeouts. @default 5000 */
  readonly holdMs?: number
  /** How long the frames that a moved actor returns are waited for. @default 1000 */
  readonly moveTimeoutMs?: number
  /** First pause before an unacknowledged system message is sent again; doubles up to a second. @default 50 */
  readonly resendAfterMs?: number
  /** A pair that is silent this long is forgotten on both sides. @default 60000 */
  readonly idlePairMs?: number
  /** How long a node that is closed waits for the others to take what it told them. @default 1000 */
  readonly drainMs?: number
}

/** The longest pause between two questions or two attempts. */
export const MAX_PAUSE_MS = 1_000

const count = z.number().int().positive()
const ms = z.number().positive()

const schema = z.strictObject({
  maxPairMessages: count.default(1_024),
  maxPairBytes: count.default(4 * 1024 * 1024),
  maxHeldMessages: count.default(65_536),
  maxHeldBytes: count.default(64 * 1024 * 1024),
  maxPendingAsks: count.default(65_536),
  maxSystemMessages: count.default(16_384),
  maxSystemBytes: count.default(16 * 1024 * 1024),
  resolveGraceMs: ms.default(1_000),
  resolveEveryMs: ms.default(100),
  holdMs: ms.default(5_000),
  moveTimeoutMs: ms.default(1_000),
  resendAfterMs: ms.default(50),
  idlePairMs: ms.default(60_000),
  drainMs: ms.default(1_000),
})

/** Remoting options with their defaults. */
export type RemotingLimits = z.output<typeof schema>

/** @throws ERR_INVALID_OPTION naming the option */
export function compileRemoting(options: RemotingOptions): RemotingLimits {
  return parseOptions(schema, options, 'remoting option')
}
