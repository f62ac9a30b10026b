import { TroupeError } from '../errors.js'
import { Guard } from './guard.js'

/** What a run under way is told: that something impure was touched, or a promise was rejected with nobody to care. */
export interface Watched {
  fail(error: unknown): void
}

let watched: Watched | undefined
let taken = false

/** Names the run that breaches are reported to; answers a function that ends that. */
export function watchRun(run: Watched): () => void {
  watched = run
  return () => {
    watched = undefined
  }
}

/**
 * Does `work` with the guard in place and with the process to itself, since both the guard and the machinery for
 * rejected promises are the process's.
 *
 * @throws ERR_SIMULATION_BUSY when a simulation is under way
 */
export async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  if (taken) throw new TroupeError('ERR_SIMULATION_BUSY', 'a simulation is under way in this process')
  taken = true
  const guard = new Guard(violation => watched?.fail(violation))
  const onRejection = (reason: unknown): void => watched?.fail(reason)
  const others = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', onRejection)
  guard.install()
  try {
    return await work()
  } finally {
    guard.remove()
    process.off('unhandledRejection', onRejection)
    for (const listener of others) process.on('unhandledRejection', listener)
    taken = false
  }
}
