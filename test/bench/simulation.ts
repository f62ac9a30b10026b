// How fast seeds are searched: the workload that the tests explore, with and without faults.

import { explore, simulate, type ExploreReport } from 'troupe/testing'
import { workload, workloadOptions } from '../simulation/workload.js'
import { defineBench } from './harness.js'

const SEEDS = 20

/** Wall clock seconds that `work` takes. */
async function seconds<T>(work: () => Promise<T>): Promise<{ value: T; took: number }> {
  const start = performance.now()
  const value = await work()
  return { value, took: (performance.now() - start) / 1_000 }
}

const search = (): Promise<ExploreReport> =>
  explore({ ...workloadOptions, name: 'bench', seeds: SEEDS }, workload)

/** Only the world's own events: what a run costs before any actor does. */
const idle = (events: number) =>
  simulate({ seed: 1, nodes: [], maxEvents: events + 10 }, async sim => {
    for (let i = 0; i < events; i++) await sim.sleep(1)
  })

const IDLE_EVENTS = 100_000

export default defineBench('simulation', b => {
  b.arm({
    case: 'events',
    unit: 'events/s',
    better: 'higher',
    run: async () => {
      const { value, took } = await seconds(search)
      return value.events / took
    },
  })
  b.arm({
    case: 'seeds',
    unit: 'seeds/s',
    better: 'higher',
    run: async () => {
      const { value, took } = await seconds(search)
      return value.seeds / took
    },
  })
  b.arm({
    case: 'events-idle',
    unit: 'events/s',
    better: 'higher',
    run: async () => {
      const { value, took } = await seconds(() => idle(IDLE_EVENTS))
      return value.events / took
    },
  })
})
