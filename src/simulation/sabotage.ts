import { InboundStreams } from '../node/remoting/inbound-streams.js'
import { Fence } from '../node/remoting/fence.js'
import { AskTable } from '../node/remoting/remote-ask.js'
import { Remoting } from '../node/remoting/remoting.js'
import { SystemChannel } from '../node/remoting/system-channel.js'
import { Pair } from '../node/remoting/pair.js'

/**
 * Ways to break the product on purpose, to show that an exploration finds what they break. The only switch for them is
 * here: the product itself has none, its methods are replaced while `sabotaged` runs.
 */
const SABOTAGES = {
  /** Promise 1: what comes twice or late is handled again. */
  'duplicates-accepted': () => replace(InboundStreams.prototype, 'accept', () => true),
  /** Promise 2: asks to a node that died are left to wait. */
  'asks-forgotten-on-crash': () => replace(AskTable.prototype, 'nodeLost', () => undefined),
  /** Promise 3: nobody is told of the deaths on a node that is lost and comes back. */
  'watches-lost-on-crash': () => replace(Remoting.prototype, 'watchesLost', () => undefined),
  /** Promise 3: a system message that is lost on the way is not sent again. */
  'system-messages-once': () => replace(SystemChannel.prototype, 'resend', () => undefined),
  /** Promise 8: frames of node incarnations that are over are taken. */
  'stale-accepted': () => replace(Fence.prototype, 'refuses', () => false),
  /** Promise 1: what a moved actor returns goes out behind what was sent since. */
  'returned-last': () =>
    replace(Pair.prototype, 'inOrder', (returned, held) => [...held, ...returned.values()]),
} as const

export type Sabotage = keyof typeof SABOTAGES

export const ALL_SABOTAGES = Object.keys(SABOTAGES) as readonly Sabotage[]

/** Runs `work` with the product broken. Not part of any door: for tests of the tests. */
export async function sabotaged<T>(sabotage: Sabotage, work: () => Promise<T>): Promise<T> {
  const undo = SABOTAGES[sabotage]()
  try {
    return await work()
  } finally {
    undo()
  }
}

function replace<O extends object, K extends keyof O>(prototype: O, key: K, replacement: O[K]): () => void {
  const original = prototype[key]
  prototype[key] = replacement
  return () => {
    prototype[key] = original
  }
}
