/**
 * When a shard cuts, in exact mode: at versions that every shard knows before it makes them. Those that are multiples
 * of a number are known to all; another is chosen by shard 0, two steps ahead, and named in its answer, which workers
 * hand on with their next pushes.
 */
export class CutPlan {
  readonly #everySteps: number
  /** The version chosen; 0 for none. */
  #chosen = 0

  /** @param everySteps 0: none but those that are chosen */
  constructor(everySteps: number) {
    this.#everySteps = everySteps
  }

  /** To be named in answers; 0 for none. */
  get chosen(): number {
    return this.#chosen
  }

  /** Shard 0 chooses, unless it has chosen already. The step that makes `version + 1` is open. */
  choose(version: number): void {
    if (this.#chosen <= version) this.#chosen = version + 2
  }

  /** Another shard reads in a push what shard 0 has chosen. */
  learn(chosen: number): void {
    if (chosen > this.#chosen) this.#chosen = chosen
  }

  isDue(version: number): boolean {
    return version === this.#chosen || (this.#everySteps > 0 && version % this.#everySteps === 0)
  }
}
