import { killAt, type ActorContext, type ActorRef, type FaultPoint, type KillSpec } from 'troupe'
import { Chaos } from './chaos.js'
import { chaosPath, NO_TIMEOUT_MS, type JobSpec } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'

/** The places in one actor's work at which kills are planned. Costs nothing where none are. */
export class FaultPoints {
  readonly #left: KillSpec[]
  readonly #chaos: ActorRef<Chaos>
  readonly #supervisor: ActorRef<JobSupervisor>

  constructor(ctx: ActorContext, job: Pick<JobSpec, 'kills'>, supervisor: ActorRef<JobSupervisor>) {
    this.#left = [...job.kills]
    this.#chaos = ctx.lookup(Chaos, chaosPath(supervisor.path))
    this.#supervisor = supervisor
  }

  /** Is a kill planned here? */
  has(point: FaultPoint): boolean {
    return killAt(this.#left, point) !== undefined
  }

  /** Resolves when the kills planned here have happened: never, where this actor is the one that ends. */
  async reach(point: FaultPoint): Promise<void> {
    for (;;) {
      const kill = killAt(this.#left, point)
      if (kill === undefined) return
      this.#left.splice(this.#left.indexOf(kill), 1)
      await this.strike(kill, point.step)
    }
  }

  /** Resolves when this kill has happened, of whoever it ends. */
  async strike(kill: KillSpec, step: number): Promise<void> {
    await this.#chaos.ask.with({ timeoutMs: NO_TIMEOUT_MS }).strike(kill, step, this.#supervisor)
  }

  /** The kills of the job that have not happened. */
  async left(): Promise<readonly KillSpec[]> {
    return this.#left.length === 0 ? [] : this.#chaos.ask.with({ timeoutMs: NO_TIMEOUT_MS }).left()
  }
}
