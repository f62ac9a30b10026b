/** Counts restarts within a sliding time: the intensity of OTP's supervisors. */
export class RestartWindow {
  readonly #maxRestarts: number
  readonly #withinMs: number
  /** Times of restarts, oldest first; those before `#head` have left the window. */
  #at: number[] = []
  #head = 0

  constructor(maxRestarts: number, withinMs: number) {
    this.#maxRestarts = maxRestarts
    this.#withinMs = withinMs
  }

  /** Counts a restart at monotonic time `nowMs`; returns how many lie in the window, this one included. */
  count(nowMs: number): number {
    while (this.#head < this.#at.length && nowMs - (this.#at[this.#head] as number) >= this.#withinMs)
      this.#head++
    if (this.#head > this.#at.length / 2) {
      this.#at = this.#at.slice(this.#head)
      this.#head = 0
    }
    this.#at.push(nowMs)
    return this.#at.length - this.#head
  }

  /** Would that many be one too many? */
  exceeded(count: number): boolean {
    return count > this.#maxRestarts
  }
}
