import { TroupeError } from '../errors.js'
import type { World } from './world.js'

/** A condition, evaluated when the program is idle. Must not change anything. */
export type Condition = () => boolean

interface Pending {
  readonly name: string
  readonly condition: Condition
  readonly deadlineMs: number
  readonly resolve: () => void
}

/** How long an `eventually` may take when it says nothing else, in milliseconds of virtual time. */
export const DEFAULT_WITHIN_MS = 60_000

/** What a run is checked against. */
export class Checks {
  readonly #world: World
  readonly #always: { readonly name: string; readonly condition: Condition }[] = []
  #pending: Pending[] = []
  readonly #sometimes = new Map<string, boolean>()

  constructor(world: World) {
    this.#world = world
    world.observe(() => this.#evaluate())
  }

  /**
   * Must hold: a condition from now on after every event, a value right now.
   *
   * @throws ERR_SIMULATION_FAILED for a value that is false
   */
  always(name: string, condition: boolean | Condition, detail?: string): void {
    if (typeof condition === 'function') this.#always.push({ name, condition })
    else if (!condition)
      this.#fail(`always '${name}' does not hold${detail === undefined ? '' : `: ${detail}`}`)
  }

  /** Must come to hold within a time; resolves when it does. The run does not end before. */
  eventually(name: string, condition: Condition, withinMs = DEFAULT_WITHIN_MS): Promise<void> {
    return new Promise(resolve => {
      const deadlineMs = this.#world.nowMs + withinMs
      this.#pending.push({ name, condition, deadlineMs, resolve })
      // it may hold already, and should nothing else happen the world must wake at the deadline
      this.#world.after(0, () => {})
      this.#world.after(withinMs, () => {})
    })
  }

  /** Must hold at least once in some run of an exploration: else it has not tested what it is about. */
  sometimes(name: string, condition = true): void {
    this.#sometimes.set(name, condition || this.#sometimes.get(name) === true)
  }

  /** Is nothing left that must come to hold? */
  get settled(): boolean {
    return this.#pending.length === 0
  }

  get seen(): ReadonlyMap<string, boolean> {
    return this.#sometimes
  }

  #evaluate(): void {
    for (const { name, condition } of this.#always) {
      if (!condition()) this.#fail(`always '${name}' does not hold`)
    }
    if (this.#pending.length === 0) return
    const before = this.#pending
    this.#pending = []
    for (const pending of before) {
      if (pending.condition()) pending.resolve()
      else if (this.#world.nowMs >= pending.deadlineMs) {
        this.#fail(`eventually '${pending.name}' did not come to hold in time`)
      } else this.#pending.push(pending)
    }
  }

  /** Thrown for whoever asked; told to the world since that one may swallow it. */
  #fail(what: string): never {
    const error = new TroupeError('ERR_SIMULATION_FAILED', `${what}, at ${this.#world.nowMs.toFixed(3)} ms`)
    this.#world.fail(error)
    throw error
  }
}
