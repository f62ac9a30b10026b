// The job of `npm start`, run within a bench: the same model and data, fewer steps.

import { Troupe, type JobDone, type JobEvent } from 'troupe'
import { runJob, type RunJobOptions } from 'troupe/actors'
import definition from '../../examples/06-mnist.js'

const MODULE = new URL('../../examples/06-mnist.js', import.meta.url).href

interface MnistArgs {
  readonly epochs: number
  readonly batchSize: number
}

export interface TimedEvent {
  readonly atMs: number
  readonly event: JobEvent
}

/** Runs the job on a runtime of its own and notes when each event came. */
export async function runMnist(
  options: Omit<RunJobOptions<MnistArgs>, 'module'>,
): Promise<{ readonly events: readonly TimedEvent[]; readonly done: JobDone }> {
  const troupe = await Troupe.start({})
  try {
    const job = await runJob(troupe, definition, { module: MODULE, backend: 'wasm', ...options })
    const events: TimedEvent[] = []
    for await (const event of job.events) events.push({ atMs: performance.now(), event })
    return { events, done: await job.done }
  } finally {
    await troupe.close()
  }
}

/** Steps a second between two steps, as they were told. */
export function stepRate(events: readonly TimedEvent[], from: number, to: number): number {
  const at = (step: number): number => {
    const found = events.find(({ event }) => event.event === 'step' && event.step === step)
    if (found === undefined) throw new Error(`step ${step} was not told`)
    return found.atMs
  }
  return ((to - from) / (at(to) - at(from))) * 1000
}
