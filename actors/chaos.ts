import { Actor, actor, Args, handles, inject, type ActorRef, type KillSpec } from 'troupe'
import type { JobSupervisor } from './job-supervisor.js'

export interface ChaosArgs {
  readonly kills: readonly KillSpec[]
  /** Path of the supervisor; the job's other actors are its children. */
  readonly jobPath: string
  readonly executioner: Executioner
}

/** What ends actors wherever they are, beside their supervisor. */
export interface Executioner {
  exists(path: string): boolean
  /** Without its hooks, and counted as no failure. */
  kill(path: string): void
}

/**
 * Carries out a job's planned kills. Whoever reaches the place of one stands still there and says so here; nobody is
 * asked whose end it is. Lives beside the supervisor, which may be killed as well.
 */
@actor('chaos', { module: import.meta.url })
export class Chaos extends Actor {
  readonly #args: ChaosArgs
  readonly #left: KillSpec[]

  constructor(@inject(Args) args: ChaosArgs) {
    super()
    this.#args = args
    this.#left = [...args.kills]
  }

  /** Kills that have not happened yet. */
  @handles() left(): readonly KillSpec[] {
    return [...this.#left]
  }

  /**
   * The place of a kill is reached: its actor has ended when this is answered, unless it happened before or there is
   * no such actor now.
   *
   * @param step the step that is open, counted from 1
   */
  @handles() strike(kill: KillSpec, step: number, supervisor: ActorRef<JobSupervisor>): void {
    const at = this.#left.findIndex(({ text }) => text === kill.text)
    const { jobPath, executioner } = this.#args
    const path = kill.actor === 'supervisor' ? jobPath : `${jobPath}/${kill.actor}`
    if (at === -1 || !executioner.exists(path)) return
    this.#left.splice(at, 1)
    // Told before: the supervisor may be the one that ends, and its successor finds the message.
    supervisor.tell.struck(kill, step)
    executioner.kill(path)
  }
}
