import { SeededRandom } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import { exclusively } from './exclusive.js'
import type { FaultPlan } from './fault.js'
import { randomPlan, type PlanFaults } from './random-plan.js'
import { replayLine, replayWanted } from './replay.js'
import { shrinkPlan } from './shrink.js'
import { runOnce, type Outcome } from './simulate.js'
import { DEFAULT_NODES, type Scenario, type SimulateOptions } from './simulation.js'

export interface ExploreOptions extends Omit<SimulateOptions, 'seed' | 'faults'> {
  /** Names the exploration in replay lines: unique in a program. */
  readonly name: string
  /** How many seeds are tried. @default 100 */
  readonly seeds?: number
  /** The first seed; the others follow it. @default 1 */
  readonly firstSeed?: number
  /** What goes wrong in a run. @default up to six random faults within the first three seconds */
  readonly plan?: PlanFaults
  /** Names of `sometimes` that must hold in some run, also if no run ever reaches them. */
  readonly expect?: readonly string[]
  /** Takes the replay line of a failure. @default standard error */
  readonly print?: (line: string) => void
}

export const DEFAULT_SEEDS = 100

/** What an exploration without a failure came to. */
export interface ExploreReport {
  readonly seeds: number
  readonly events: number
  readonly virtualMs: number
  /** How often faults of each kind had an effect. */
  readonly faults: Readonly<Record<string, number>>
  /** In how many runs each `sometimes` held. */
  readonly sometimes: Readonly<Record<string, number>>
}

/** A run that failed, made as small as it gets. */
export interface Failure {
  readonly seed: number
  readonly faults: FaultPlan
  /** Faults before shrinking. */
  readonly faultsBefore: number
  readonly error: TroupeError
  /** Repeats the run from a shell. */
  readonly replay: string
}

/**
 * Searches for a run that fails: one seed after the other, each with a fault plan of its own. The first failure ends
 * the search; its plan is shrunk, and a line that repeats it is printed.
 *
 * @throws ERR_EXPLORATION_FAILED with the failing run's error as cause and `seed`, `faults`, `replay` in its data; also
 * when a `sometimes` never held or a kind of fault in the plans never had an effect: then something was not tested
 *
 * @example
 * ```ts
 * await explore({ name: 'transfers', seeds: 300, boot }, async sim => {
 *   …
 *   await sim.eventually('money is conserved', () => total() === 100)
 * })
 * ```
 */
export async function explore(options: ExploreOptions, scenario: Scenario): Promise<ExploreReport> {
  const tally = new Tally(options.expect ?? [])
  const replay = replayWanted(options.name)
  const failure = await exclusively(async () => {
    if (replay !== undefined) return repeat(options, scenario, replay.seed, replay.faults, tally)
    const { seeds = DEFAULT_SEEDS, firstSeed = 1 } = options
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const faults = planOf(options, seed)
      const outcome = await runOnce({ ...options, seed, faults }, scenario)
      tally.add(faults, outcome)
      if (!outcome.ok) return shrinkFailure(options, scenario, seed, faults, outcome.error)
    }
    return undefined
  })
  if (failure !== undefined) throw explorationFailed(options, failure)
  if (replay === undefined) tally.check(options.name)
  return tally.report()
}

function planOf(options: ExploreOptions, seed: number): FaultPlan {
  const random = new SeededRandom(seed).fork('plan')
  return (options.plan ?? randomPlan())(random, options.nodes ?? DEFAULT_NODES)
}

async function repeat(
  options: ExploreOptions,
  scenario: Scenario,
  seed: number,
  faults: FaultPlan,
  tally: Tally,
): Promise<Failure | undefined> {
  const outcome = await runOnce({ ...options, seed, faults, keepTrace: true }, scenario)
  tally.add(faults, outcome)
  return outcome.ok ? undefined : failureOf(options, seed, faults, faults.length, outcome.error)
}

async function shrinkFailure(
  options: ExploreOptions,
  scenario: Scenario,
  seed: number,
  faults: FaultPlan,
  error: TroupeError,
): Promise<Failure> {
  let smallest = error
  const shrunk = await shrinkPlan(faults, async candidate => {
    const outcome = await runOnce({ ...options, seed, faults: candidate }, scenario)
    if (outcome.ok || !isSame(outcome.error, error)) return false
    smallest = outcome.error
    return true
  })
  return failureOf(options, seed, shrunk, faults.length, smallest)
}

/** Is it the same failure, so that shrinking does not slip from one bug to another? Times and counts may differ. */
function isSame(a: TroupeError, b: TroupeError): boolean {
  return a.code === b.code && signature(a.cause) === signature(b.cause)
}

function signature(cause: unknown): string {
  return cause instanceof Error ? cause.message.replaceAll(/\d+(?:\.\d+)?/g, '#') : String(cause)
}

function failureOf(
  { name }: ExploreOptions,
  seed: number,
  faults: FaultPlan,
  faultsBefore: number,
  error: TroupeError,
): Failure {
  return { seed, faults, faultsBefore, error, replay: replayLine({ name, seed, faults }) }
}

function explorationFailed(options: ExploreOptions, failure: Failure): TroupeError {
  const { seed, faults, faultsBefore, error, replay } = failure
  const print = options.print ?? (line => process.stderr.write(`${line}\n`))
  print(`replay: ${replay}`)
  return new TroupeError(
    'ERR_EXPLORATION_FAILED',
    `'${options.name}' failed with seed ${seed} and ${faults.length} faults (of ${faultsBefore}); replay: ${replay}`,
    { cause: error, data: { name: options.name, seed, faults, faultsBefore, replay } },
  )
}

/** Sums runs up. */
class Tally {
  #seeds = 0
  #events = 0
  #virtualMs = 0
  readonly #faults: Record<string, number> = {}
  readonly #sometimes: Record<string, number> = {}

  constructor(expected: readonly string[]) {
    for (const name of expected) this.#sometimes[name] = 0
  }

  add(faults: FaultPlan, { report }: Outcome): void {
    this.#seeds++
    this.#events += report.events
    this.#virtualMs += report.virtualMs
    for (const { kind } of faults) this.#faults[kind] ??= 0
    for (const [kind, fired] of Object.entries(report.faults)) {
      this.#faults[kind] = (this.#faults[kind] ?? 0) + fired
    }
    for (const [name, held] of report.sometimes) {
      this.#sometimes[name] = (this.#sometimes[name] ?? 0) + (held ? 1 : 0)
    }
  }

  /** Everything that was meant to happen must have happened. */
  check(name: string): void {
    const never = [
      ...Object.keys(this.#sometimes).filter(key => this.#sometimes[key] === 0),
      ...Object.keys(this.#faults)
        .filter(key => this.#faults[key] === 0)
        .map(key => `a fault of kind '${key}'`),
    ]
    if (never.length === 0) return
    throw new TroupeError(
      'ERR_EXPLORATION_FAILED',
      `'${name}' never saw ${never.join(', ')} in ${this.#seeds} seeds: it has not been tested`,
      { data: { name, never } },
    )
  }

  report(): ExploreReport {
    return {
      seeds: this.#seeds,
      events: this.#events,
      virtualMs: this.#virtualMs,
      faults: this.#faults,
      sometimes: this.#sometimes,
    }
  }
}
