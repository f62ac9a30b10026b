import type { ClosedStep, TrainingState } from 'troupe/training'

/** Whose steps are counted together: all ranks' in exact mode (line 0), else each rank's by itself. */
export function lineOf({ rank }: Pick<ClosedStep, 'rank'>): number {
  return rank ?? 0
}

/** Steps that a cut holds, by line. */
export function stepsOf({ staleness, next, version }: TrainingState): readonly number[] {
  return staleness > 0 ? next : [version]
}

/**
 * Which steps every server has closed, and which of them were told of. Steps are counted by line ({@link lineOf}); each
 * is told of once, also if it is closed again after a rollback.
 */
export class StepTally {
  /** By server, then by line: steps closed. */
  #closed: number[][]
  /** By line: what server 0 said of steps that are not told yet, or may have to be computed again. */
  readonly #said: readonly Map<number, ClosedStep>[]
  /** By line: steps told of. */
  readonly #told: number[]

  /** @param told by line; changed here */
  constructor(servers: number, first: readonly number[], told: number[]) {
    this.#closed = Array.from({ length: servers }, () => [...first])
    this.#said = first.map(() => new Map<number, ClosedStep>())
    this.#told = told
  }

  /** Steps of a line that every server has closed. */
  closed(line: number): number {
    return Math.min(...this.#closed.map(lines => lines[line]!))
  }

  /** Steps of all lines that every server has closed. */
  get steps(): number {
    return sum(this.#told.map((_, line) => this.closed(line)))
  }

  /** Steps of all lines that were closed at least once. */
  get furthest(): number {
    return sum(this.#told.map((told, line) => Math.max(told, this.closed(line))))
  }

  /** The step of a line, counted from 1, that nobody has closed yet. */
  open(line: number): number {
    return Math.max(this.#told[line]!, this.closed(line)) + 1
  }

  /**
   * A server has closed a step.
   *
   * @returns what server 0 said of it before a rollback, if this is server 0 and it did
   */
  close(shard: number, step: ClosedStep): ClosedStep | undefined {
    const line = lineOf(step)
    // What was adopted comes a second time, from the mailbox.
    if (step.step < this.#closed[shard]![line]!) return undefined
    this.#closed[shard]![line] = step.step + 1
    if (shard !== 0) return undefined
    const before = this.#said[line]!.get(step.step)
    this.#said[line]!.set(step.step, step)
    return before
  }

  /** Everything starts again from here, by line: what servers say of later steps is new. */
  rolledBack(steps: readonly number[]): void {
    this.#closed = this.#closed.map(() => [...steps])
  }

  /**
   * Takes up where who told before stopped.
   *
   * @param closed by server, then by line
   * @param steps what server 0 says of steps that are not told, or may be computed again
   */
  adopt(closed: readonly (readonly number[])[], steps: readonly ClosedStep[]): void {
    this.#closed = closed.map(lines => [...lines])
    for (const step of steps) this.#said[lineOf(step)]!.set(step.step, step)
  }

  /** Steps before these, by line, are not computed again. */
  kept(steps: readonly number[]): void {
    for (const [line, said] of this.#said.entries()) {
      for (const known of said.keys())
        if (known < steps[line]! && known < this.#told[line]!) said.delete(known)
    }
  }

  /** Tells of the steps that every server has closed and that were not told of; they count as told. */
  tell(): ClosedStep[] {
    const steps: ClosedStep[] = []
    for (const [line, said] of this.#said.entries()) {
      for (const closed = this.closed(line); this.#told[line]! < closed; this.#told[line]!++) {
        const next = said.get(this.#told[line]!)
        if (next !== undefined) steps.push(next)
      }
    }
    return steps
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
