import type { ActorContext } from 'troupe'

/** How long programs may take to heed `ctx.signal` before they are ended. */
const ABORT_GRACE_MS = 250

/** How long a job that is stopped may take for its last checkpoint. */
const LAST_CHECKPOINT_MS = 10_000

/** What stopping a job comes down to. */
export interface JobStopParts {
  /** Asks for a last checkpoint; false where none is due. */
  readonly checkpoint: () => boolean
  /** Lets programs heed their `ctx.signal`. */
  readonly abort: () => void
  readonly warn: (message: string) => void
}

/** Stops a job: after a last checkpoint if they are kept, and a moment in which programs may heed `ctx.signal`. */
export class JobStop {
  readonly #ctx: ActorContext
  readonly #parts: JobStopParts
  #state: 'no' | 'after-checkpoint' | 'now' = 'no'

  constructor(ctx: ActorContext, parts: JobStopParts) {
    this.#ctx = ctx
    this.#parts = parts
  }

  begin(): void {
    if (this.#state !== 'no') return
    this.#state = 'after-checkpoint'
    if (!this.#parts.checkpoint()) {
      this.checkpointed()
      return
    }
    this.#ctx.after(LAST_CHECKPOINT_MS, () => {
      if (this.#state !== 'after-checkpoint') return
      this.#parts.warn(`no last checkpoint: none was written within ${LAST_CHECKPOINT_MS} ms`)
      this.checkpointed()
    })
  }

  /** A checkpoint was written, or failed. */
  checkpointed(): void {
    if (this.#state !== 'after-checkpoint') return
    this.#state = 'now'
    this.#parts.abort()
    this.#ctx.after(ABORT_GRACE_MS, () => this.#ctx.stopSelf())
  }
}
