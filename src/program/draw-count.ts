import type { TrainingSession } from './training-session.js'

/** Counts the batches that a dataset gives between two steps: a step that does not know which one it is computed on could not be made again. */
export class DrawCount {
  readonly #session: TrainingSession
  #since = -1
  #count = 0

  constructor(session: TrainingSession) {
    this.#session = session
  }

  /** A batch of so many rows goes to the program, after a wait for it. */
  drew(rows: number, waitedMs: number): void {
    const { steps } = this.#session
    if (this.#since !== steps) {
      this.#since = steps
      this.#count = 0
    }
    this.#count += 1
    this.#session.drew({ rows, draws: this.#count }, waitedMs)
  }
}
