import { describe, TroupeError } from '../errors.js'
import type { Clock } from '../determinism/index.js'

/** The phases of a shutdown, in order. The actors stop between the first and the second. */
export const SHUTDOWN_PHASES = [
  /** Take no new work from outside: close listeners, leave the membership. */
  'before-actors-stop',
  /** Write what must not be lost. */
  'after-actors-stop',
  /** Close connections. */
  'disconnect',
] as const

export type ShutdownPhase = (typeof SHUTDOWN_PHASES)[number]

export interface ShutdownTask {
  readonly phase: ShutdownPhase
  /** Named in the error if it fails or takes too long. */
  readonly name: string
  /** @default 5000 */
  readonly timeoutMs?: number
  readonly run: () => void | Promise<void>
}

export const DEFAULT_PHASE_TIMEOUT_MS = 5_000

/**
 * Coordinated shutdown: tasks of a phase run together, phases one after another. One that fails or takes longer than
 * its timeout is told and left behind: a shutdown always ends.
 */
export class Shutdown {
  readonly #clock: Clock
  readonly #onError: (error: TroupeError) => void
  readonly #tasks: ShutdownTask[] = []

  constructor(clock: Clock, onError: (error: TroupeError) => void) {
    this.#clock = clock
    this.#onError = onError
  }

  add(task: ShutdownTask): void {
    if (!SHUTDOWN_PHASES.includes(task.phase)) {
      throw new TroupeError(
        'ERR_INVALID_OPTION',
        `a shutdown phase is one of ${SHUTDOWN_PHASES.join(', ')}, got ${describe(task.phase)}`,
        { data: { option: 'phase', value: task.phase } },
      )
    }
    this.#tasks.push(task)
  }

  async run(phase: ShutdownPhase): Promise<void> {
    await Promise.all(this.#tasks.filter(task => task.phase === phase).map(task => this.#runTask(task)))
  }

  #runTask({ name, phase, run, timeoutMs = DEFAULT_PHASE_TIMEOUT_MS }: ShutdownTask): Promise<void> {
    return new Promise(resolve => {
      const failed = (what: string, cause?: unknown): void => {
        this.#onError(
          new TroupeError('ERR_SHUTDOWN', `shutdown task '${name}' (${phase}) ${what}`, {
            data: { task: name, phase, timeoutMs },
            cause,
          }),
        )
        resolve()
      }
      const timer = this.#clock.after(timeoutMs, () => failed(`took longer than ${timeoutMs} ms`))
      Promise.resolve()
        .then(run)
        .then(resolve, (error: unknown) => failed('failed', error))
        .finally(() => timer.cancel())
    })
  }
}
