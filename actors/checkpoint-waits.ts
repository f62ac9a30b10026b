import { TroupeError, type ActorContext, type DeferredReply } from 'troupe'

/** From one order for a cut that a program waits for to the next. */
const CUT_AGAIN_MS = 1000

/** Who waits for a checkpoint of a version, or a later one. */
export class CheckpointWaits {
  readonly #ctx: ActorContext
  readonly #cut: (version: number) => void
  #waits: { readonly version: number; readonly reply: DeferredReply<null> }[] = []

  /** @param cut orders a cut of the version */
  constructor(ctx: ActorContext, cut: (version: number) => void) {
    this.#ctx = ctx
    this.#cut = cut
  }

  add(version: number, reply: DeferredReply<null>): void {
    this.#waits.push({ version, reply })
    this.#order()
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

  /** Until it is written: a cut is lost where a server has no memory left for it, or with its writer. */
  #order(): void {
    const last = this.#waits.at(-1)
    if (last === undefined) return
    this.#cut(last.version)
    this.#ctx.after(CUT_AGAIN_MS, () => this.#order())
  }

  #settle(version: number, settle: (reply: DeferredReply<null>) => void): void {
    const met = this.#waits.filter(wait => wait.version <= version)
    this.#waits = this.#waits.filter(wait => wait.version > version)
    for (const { reply } of met) settle(reply)
  }
}
