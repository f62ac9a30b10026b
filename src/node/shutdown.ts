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
 * its timeout is told and left behind: a shutdown always ends. A task that comes when its phase has begun runs at once:
 * whoever opens something while the runtime closes must have it closed too.
 */
export class Shutdown {
  readonly #clock: Clock
  readonly #onError: (error: TroupeError) => void
  readonly #tasks: ShutdownTask[] = []
  readonly #begun = new Set<ShutdownPhase>()
  /** Tasks under way, by phase: it ends with the last of them. */
  readonly #running = new Map<Promise<void>, ShutdownPhase>()

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
    if (this.#begun.has(task.phase)) this.#start(task)
    else this.#tasks.push(task)
  }

  async run(phase: ShutdownPhase): Promise<void> {
    this.#begun.add(phase)
    for (const task of this.#tasks) if (task.phase === phase) this.#start(task)
    const underWay = (): Promise<void>[] =>
      [...this.#running].filter(([, ofPhase]) => ofPhase === phase).map(([task]) => task)
    for (let tasks = underWay(); tasks.length > 0; tasks = underWay()) await Promise.all(tasks)
  }

  #start(task: ShutdownTask): void {
    const running: Promise<void> = this.#runTask(task).finally(() => this.#running.delete(running))
    this.#running.set(running, task.phase)
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
