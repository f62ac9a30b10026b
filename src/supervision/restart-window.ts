/** Counts restarts within a sliding time: the intensity of OTP's supervisors. */
export class RestartWindow {
  readonly #maxRestarts: number
  readonly #withinMs: number
  #at: number[] = []

  constructor(maxRestarts: number, withinMs: number) {
    this.#maxRestarts = maxRestarts
    this.#withinMs = withinMs
  }

  /** Counts a restart at monotonic time `now`; returns how many lie in the window, this one included. */
  count(now: number): number {
    this.#at = this.#at.filter(at => now - at < this.#withinMs)
    this.#at.push(now)
    return this.#at.length
  }

  /** Would that many be one too many? */
  exceeded(count: number): boolean {
    return count > this.#maxRestarts
  }
}
