import { AsyncLocalStorage } from 'node:async_hooks'
import { TroupeError } from '../errors.js'
import { onceKey } from '../training/index.js'
import { decodeFrame, encodeFrame, type Envelope } from '../wire/index.js'
import type { HostLink } from './host-link.js'
import type { TrainingSession } from './training-session.js'

/** Of a message that goes nowhere. */
const ENVELOPE: Envelope = { kind: 'tell', target: '/' }

/** What is done once in a job, by name: a user's `ctx.once`, or something of Troupe's own. */
export interface OnceTask<T> {
  readonly name: string
  /** Done by the chief alone; what it gives is plain data. */
  readonly run: () => T
  /** Done instead where the result is known: keeps in step what `run` moves on. */
  readonly skip?: () => void | Promise<void>
}

/**
 * What happens once in a job: the chief does it, its result goes into the journal under (step, name, n-th call), and
 * every worker, and every successor of one, gets it from there.
 *
 * `Math.random` is seeded anew afterwards, so that it does not matter to what follows who did the work. What is asked
 * for within such a task belongs to it: the chief alone does it, and it is not kept.
 */
export class OnceJournal {
  readonly #session: TrainingSession
  readonly #link: HostLink
  /** Whether the code that runs belongs to a task, also after it awaited something. */
  readonly #within = new AsyncLocalStorage<boolean>()
  #running = 0
  /** How often each name was asked for since the last step. */
  #calls = { step: -1, byName: new Map<string, number>() }

  constructor(session: TrainingSession, link: HostLink) {
    this.#session = session
    this.#link = link
    session.guardTasks(() => this.within)
  }

  get within(): boolean {
    return this.#running > 0 && this.#within.getStore() === true
  }

  /** @throws ERR_RANKS_DIVERGED if the chief goes on without; ERR_REPLAY_DIVERGED if it did before */
  async once<T>(task: OnceTask<T | Promise<T>>): Promise<T> {
    if (this.within) return task.run()
    const key = this.#key(task.name)
    const known = this.#find(key, task.name)
    if (known !== undefined) {
      await task.skip?.()
      return this.#leave(key, known.value as T)
    }
    const value = await this.#enter(async () => task.run())
    return this.#leave(key, this.#keep(key, task.name, value))
  }

  /** As {@link once}, where user code does not wait. */
  onceSync<T>(task: OnceTask<T>): T {
    if (this.within) return task.run()
    const key = this.#key(task.name)
    const known = this.#find(key, task.name)
    if (known !== undefined) return this.#leave(key, known.value as T)
    this.#running += 1
    let value: T
    try {
      value = this.#within.run(true, task.run)
    } finally {
      this.#left()
    }
    return this.#leave(key, this.#keep(key, task.name, value))
  }

  #key(name: string): string {
    const step = this.#session.steps
    if (this.#calls.step !== step) this.#calls = { step, byName: new Map() }
    const call = this.#calls.byName.get(name) ?? 0
    this.#calls.byName.set(name, call + 1)
    return onceKey(step, name, call)
  }

  /** Blocks all but the chief until the result is there. */
  #find(key: string, name: string): { readonly value: unknown } | undefined {
    const reply = this.#link.ask({ ask: 'once-find', key })
    if (reply.found) return reply
    if (!this.#session.replaying) return undefined
    const { steps } = this.#session
    throw new TroupeError(
      'ERR_REPLAY_DIVERGED',
      `after step ${steps} the program asks for '${name}', which is to be done once in the job; ` +
        `it went on to the next step without it before, and the journal does not have it`,
      { data: { step: steps, asked: key } },
    )
  }

  async #enter<T>(run: () => Promise<T>): Promise<T> {
    this.#running += 1
    try {
      return await this.#within.run(true, run)
    } finally {
      this.#left()
    }
  }

  #left(): void {
    this.#running -= 1
    // While it watches, every await of the program costs more.
    if (this.#running === 0) this.#within.disable()
  }

  /** Everyone gets what was sent, the chief too: nobody sees more of it than a successor will. */
  #keep<T>(key: string, name: string, value: T): T {
    let plain: unknown
    try {
      ;[plain] = decodeFrame(encodeFrame(ENVELOPE, '', [value])).args
    } catch (cause) {
      throw new TroupeError('ERR_PAYLOAD', `what '${name}' gave once for all workers is not plain data`, {
        data: { name },
        cause,
      })
    }
    this.#link.ask({ ask: 'once-keep', key, value: plain })
    return plain as T
  }

  #leave<T>(key: string, value: T): T {
    this.#session.reseed(`once ${key}`)
    return value
  }
}
