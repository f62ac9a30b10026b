// Searches many seeds of the actor workload under faults. `--seed` is the first, `--count` how many.

import { explore } from 'troupe/testing'
import { workload, workloadOptions } from '../simulation/workload.js'
import type { Soak } from './main.js'

const DEFAULT_COUNT = 10_000

export const soak: Soak = async ({ seed, count = DEFAULT_COUNT }) => {
  const report = await explore(
    { ...workloadOptions, name: 'workload', firstSeed: seed, seeds: count },
    workload,
  )
  const faults = Object.entries(report.faults).map(([kind, fired]) => `${kind} ${fired}`)
  return `${report.seeds} seeds, ${report.events} events, ${Math.round(report.virtualMs / 1_000)} s of virtual time; faults: ${faults.join(', ')}`
}
