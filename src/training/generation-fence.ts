import { TroupeError } from '../errors.js'

/**
 * Lets pass what belongs to one generation of a job. Whoever speaks for another one comes from before a rollback, or
 * knows of one that is not known here yet: what it says is about a past that was cut off.
 */
export class GenerationFence {
  readonly generation: number

  constructor(generation: number) {
    this.generation = generation
  }

  admits(generation: number): boolean {
    return generation === this.generation
  }

  /**
   * @param who speaks, and what for
   * @throws ERR_STALE_GENERATION
   */
  assert(generation: number, who: string, data: Readonly<Record<string, unknown>> = {}): void {
    if (this.admits(generation)) return
    throw new TroupeError(
      'ERR_STALE_GENERATION',
      `${who} of generation ${generation}; the job is in ${this.generation}`,
      { data: { ...data, generation, current: this.generation } },
    )
  }
}
