import { TroupeError, type ActorContext, type DeferredReply } from 'troupe'

/** From one order for a cut that a program waits for to the next. */
const CUT_AGAIN_MS = 1000

/** The chief's programs that wait for a checkpoint which has so many of their steps, or more. */
export class CheckpointWaits {
  readonly #ctx: ActorContext
  readonly #cut: (step: number) => void
  #waits: { readonly step: number; readonly reply: DeferredReply<null> }[] = []
  /** Of the chief's steps, how many are in a checkpoint. */
  #written = -1

  /** @param cut orders a cut; in exact mode of the version that has so many steps */
  constructor(ctx: ActorContext, cut: (step: number) => void) {
    this.#ctx = ctx
    this.#cut = cut
  }

  add(step: number, reply: DeferredReply<null>): void {
    if (step <= this.#written) {
      reply.resolve(null)
      return
    }
    this.#waits.push({ step, reply })
    this.#order()
  }

  /** A checkpoint with so many of the chief's steps is there. */
  written(step: number): void {
    this.#written = Math.max(this.#written, step)
    this.#settle(step, reply => reply.resolve(null))
  }

  /** One with so many cannot be written. */
  failed(step: number, cause: unknown): void {
    const error = new TroupeError('ERR_CHECKPOINT_IO', `no checkpoint of step ${step} was written`, {
      cause,
    })
    this.#settle(step, reply => reply.reject(error))
  }

  /** Whoever waits belongs to a generation that is gone, and has ended with it; so may what was written. */
  clear(): void {
    this.#waits = []
    this.#written = -1
  }

  /** Until it is written: a cut is lost where a server has no memory left for it, or with its writer. */
  #order(): void {
    const last = this.#waits.at(-1)
    if (last === undefined) return
    this.#cut(last.step)
    this.#ctx.after(CUT_AGAIN_MS, () => this.#order())
  }

  #settle(step: number, settle: (reply: DeferredReply<null>) => void): void {
    const met = this.#waits.filter(wait => wait.step <= step)
    this.#waits = this.#waits.filter(wait => wait.step > step)
    for (const { reply } of met) settle(reply)
  }
}
