import { causalChain, hasCode, TroupeError, type ErrorCode } from '../errors.js'
import { exclusively, watchRun } from './exclusive.js'
import { Simulation, type Scenario, type SimulateOptions, type SimulationReport } from './simulation.js'
import { traceActors } from './trace-actors.js'

/** Lines of the trace that go into the error of a run that failed. */
const SHOWN_LINES = 20

/** How a run ended. */
export type Outcome =
  | { readonly ok: true; readonly report: SimulationReport }
  | { readonly ok: false; readonly report: SimulationReport; readonly error: TroupeError }

/**
 * Runs a scenario once, on a simulated cluster: the real runtimes, in one thread, under virtual time, a seeded
 * scheduler and a seeded network. The same seed gives the same run, event by event.
 *
 * While it runs, nothing in the process may touch real time, randomness, timers or I/O; awaiting anything but the
 * simulation's own things does. Load modules and files before.
 *
 * @throws ERR_SIMULATION_FAILED with the cause: a check that does not hold, a scenario that threw or never ended;
 * ERR_SIMULATION_IMPURE naming what was touched; ERR_SIMULATION_BUSY
 *
 * @example
 * ```ts
 * const report = await simulate({ seed: 7, faults: [{ kind: 'crash', node: 'b', atMs: 50 }] }, async sim => {
 *   const counter = await sim.node('a').troupe.spawn(Counter, { name: 'counter' })
 *   const remote = sim.node('c').troupe.lookup(Counter, '/counter')
 *   remote.tell.add(2)
 *   sim.always('counts', (await remote.ask.count()) === 2)
 * })
 * ```
 */
export async function simulate(options: SimulateOptions, scenario: Scenario): Promise<SimulationReport> {
  const outcome = await exclusively(() => runOnce(options, scenario))
  if (!outcome.ok) throw outcome.error
  return outcome.report
}

/** One run, the guard being in place already. */
export async function runOnce(options: SimulateOptions, scenario: Scenario): Promise<Outcome> {
  const simulation = new Simulation(options)
  const unwatch = watchRun(simulation.world)
  const untrace = traceActors(simulation.world)
  try {
    return { ok: true, report: await simulation.run(scenario) }
  } catch (cause) {
    return { ok: false, report: simulation.report(), error: failureOf(cause, options, simulation) }
  } finally {
    untrace()
    unwatch()
  }
}

function failureOf(cause: unknown, options: SimulateOptions, simulation: Simulation): TroupeError {
  const code: ErrorCode = hasCode(cause, 'ERR_SIMULATION_IMPURE')
    ? 'ERR_SIMULATION_IMPURE'
    : 'ERR_SIMULATION_FAILED'
  const { trace } = simulation.report()
  return new TroupeError(
    code,
    `seed ${options.seed} failed at ${simulation.nowMs.toFixed(3)} ms after ${simulation.world.events} events: ` +
      withoutRemedies(cause),
    {
      cause,
      data: {
        seed: options.seed,
        faults: options.faults ?? [],
        atMs: simulation.nowMs,
        trace: trace.slice(-SHOWN_LINES),
      },
    },
  )
}

/** The chain of causes in one line, each without the advice that belongs to it alone. */
function withoutRemedies(cause: unknown): string {
  return causalChain(cause)
    .map(line => line.replace(/\. Remedy: .*$/s, ''))
    .join(' ← ')
}
