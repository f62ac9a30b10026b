import { TroupeError, type DeferredReply, type OnceReply } from 'troupe'
import { missedOnce, type Shard, type WorkerId } from 'troupe/training'

/** Results of what happens once in a job, which its first server keeps, and who waits for them. */
export class OnceResults {
  readonly #shard: Pick<Shard, 'onceFind' | 'onceKeep' | 'pushed'>
  readonly #awaited = new Map<string, DeferredReply<OnceReply>[]>()
  #chiefEnded = false

  constructor(shard: Pick<Shard, 'onceFind' | 'onceKeep' | 'pushed'>) {
    this.#shard = shard
  }

  find(key: string): OnceReply {
    const kept = this.#shard.onceFind(key)
    return kept === undefined ? { found: false } : { found: true, value: kept.value }
  }

  /** Answers once the chief has a result, or has ended or gone on without. */
  await(key: string, reply: DeferredReply<OnceReply>): void {
    const missed = missedOnce(key, this.#shard.pushed(0))
    if (this.#chiefEnded) reply.reject(endedError(key))
    else if (missed !== undefined) reply.reject(missed)
    else this.#awaited.set(key, [...(this.#awaited.get(key) ?? []), reply])
  }

  /**
   * The first result counts.
   *
   * @throws ERR_STALE_INCARNATION when it comes from a predecessor of the worker
   */
  keep(worker: WorkerId, key: string, value: unknown): void {
    this.#shard.onceKeep(worker, key, value)
    const found = this.find(key)
    for (const reply of this.#awaited.get(key) ?? []) reply.resolve(found)
    this.#awaited.delete(key)
  }

  /** The chief may have pushed a step: whoever waits for something before that waits in vain. */
  chiefWentOn(): void {
    for (const [key, replies] of this.#awaited) {
      const missed = missedOnce(key, this.#shard.pushed(0))
      if (missed === undefined) continue
      for (const reply of replies) reply.reject(missed)
      this.#awaited.delete(key)
    }
  }

  /** The program of rank 0 has returned: no result follows. */
  chiefEnded(): void {
    this.#chiefEnded = true
    this.#settle(endedError)
  }

  /** Whoever waits belongs to a generation that is gone. */
  refuse(error: Error): void {
    this.#settle(() => error)
  }

  #settle(errorFor: (key: string) => Error): void {
    for (const [key, replies] of this.#awaited) for (const reply of replies) reply.reject(errorFor(key))
    this.#awaited.clear()
  }
}

function endedError(key: string): TroupeError {
  return new TroupeError(
    'ERR_RANKS_DIVERGED',
    `a worker waits for ctx.once at ${key} (steps/name/call), but the program of rank 0 ended without it`,
  )
}
