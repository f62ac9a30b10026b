import { Rejected, TroupeError, type DeferredReply } from 'troupe'
import { NO_GENERATION } from './job-spec.js'

/** Whoever speaks belongs to what was dropped, or comes too early. */
export function staleGeneration(name: string, got: number, known: number): Rejected {
  const here = known === NO_GENERATION ? 'holds nothing yet' : `is at generation ${known}`
  return new Rejected('ERR_STALE_GENERATION', `${name} ${here}; a message of generation ${got} came`)
}

/** What is refused to somebody is no failure of who refuses. */
export function refusing(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (error instanceof TroupeError) throw new Rejected(error.code, error.message, error.data)
    throw error
  }
}

/** The mistake of who asks is told to him; it does not end who is asked. */
export function settle<T>(reply: DeferredReply<T>, work: () => T): void {
  try {
    reply.resolve(work())
  } catch (error) {
    reply.reject(error as Error)
  }
}
