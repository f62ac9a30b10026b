import { TroupeError, type DeferredReply, type OnceReply } from 'troupe'

/** Results of what happens once in a job, and who waits for them. */
export class OnceResults {
  readonly #kept: Map<string, unknown>
  readonly #awaited = new Map<string, DeferredReply<OnceReply>[]>()
  #chiefEnded = false

  /** @param kept from a checkpoint */
  constructor(kept: Iterable<readonly [key: string, value: unknown]> = []) {
    this.#kept = new Map(kept)
  }

  /** In the order in which they were kept. */
  entries(): [key: string, value: unknown][] {
    return [...this.#kept]
  }

  find(key: string): OnceReply {
    return this.#kept.has(key) ? { found: true, value: this.#kept.get(key) } : { found: false }
  }

  /** Answers once the chief has a result, or has ended without. */
  await(key: string, reply: DeferredReply<OnceReply>): void {
    if (this.#chiefEnded) reply.reject(endedError(key))
    else this.#awaited.set(key, [...(this.#awaited.get(key) ?? []), reply])
  }

  /** The first result counts. */
  keep(key: string, value: unknown): void {
    if (!this.#kept.has(key)) this.#kept.set(key, value)
    const found = this.find(key)
    for (const reply of this.#awaited.get(key) ?? []) reply.resolve(found)
    this.#awaited.delete(key)
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
