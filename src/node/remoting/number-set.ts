/**
 * A set of whole numbers kept as ranges. Numbers that are given out in order and closed in about that order take the
 * room of those still open, however many there were.
 */
export class NumberSet {
  /** Firsts and lasts of disjoint ranges that do not touch, in order. */
  readonly #firsts: number[] = []
  readonly #lasts: number[] = []

  /** How many ranges it takes. */
  get ranges(): number {
    return this.#firsts.length
  }

  has(value: number): boolean {
    const at = this.#rangeBefore(value)
    return at >= 0 && value <= this.#lasts[at]!
  }

  add(value: number): void {
    const at = this.#rangeBefore(value)
    if (at >= 0 && value <= this.#lasts[at]!) return
    const joinsBefore = at >= 0 && this.#lasts[at] === value - 1
    const joinsAfter = this.#firsts[at + 1] === value + 1
    if (joinsBefore && joinsAfter) {
      this.#lasts[at] = this.#lasts[at + 1]!
      this.#firsts.splice(at + 1, 1)
      this.#lasts.splice(at + 1, 1)
    } else if (joinsBefore) this.#lasts[at] = value
    else if (joinsAfter) this.#firsts[at + 1] = value
    else {
      this.#firsts.splice(at + 1, 0, value)
      this.#lasts.splice(at + 1, 0, value)
    }
  }

  /** The last range that begins at `value` or before; -1 if there is none. */
  #rangeBefore(value: number): number {
    let low = 0
    let high = this.#firsts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#firsts[middle]! <= value) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
