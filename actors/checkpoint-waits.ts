import { TroupeError, type DeferredReply } from 'troupe'

/** Who waits for a checkpoint of a version, or a later one. */
export class CheckpointWaits {
  #waits: { readonly version: number; readonly reply: DeferredReply<null> }[] = []

  /** The newest version that somebody waits for; undefined if nobody does. */
  get wanted(): number | undefined {
    return this.#waits.at(-1)?.version
  }

  add(version: number, reply: DeferredReply<null>): void {
    this.#waits.push({ version, reply })
  }

  /** A checkpoint of this version was written. */
  written(version: number): void {
    this.#settle(version, reply => reply.resolve(null))
  }

  /** One of this version cannot be written. */
  failed(version: number, cause: unknown): void {
    const error = new TroupeError('ERR_CHECKPOINT_IO', `no checkpoint of step ${version} was written`, {
      cause,
    })
    this.#settle(version, reply => reply.reject(error))
  }

  /** Whoever waits belongs to a generation that is gone, and has ended with it. */
  clear(): void {
    this.#waits = []
  }

  #settle(version: number, settle: (reply: DeferredReply<null>) => void): void {
    const met = this.#waits.filter(wait => wait.version <= version)
    this.#waits = this.#waits.filter(wait => wait.version > version)
    for (const { reply } of met) settle(reply)
  }
}
