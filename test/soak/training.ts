// Whole jobs under kills, dying threads and a failing disk, seed by seed: each must end as one that nothing disturbs.
// `--seed` is the first, `--count` how many.

import { explore } from 'troupe/testing'
import { calmEnd, endsAs, HARSH, noFaults, wholeJob, wholeJobOptions } from '../simulation/whole-job.js'
import type { Soak } from './main.js'

const DEFAULT_COUNT = 1_000

export const soak: Soak = async ({ seed, count = DEFAULT_COUNT }) => {
  const check = endsAs(await calmEnd())
  const options = { ...wholeJobOptions, name: 'training', firstSeed: seed, seeds: count, plan: noFaults }
  const report = await explore(options, wholeJob(HARSH, check))
  const seen = Object.entries(report.sometimes).map(([what, runs]) => `${what} ${runs}`)
  return `${report.seeds} seeds, ${report.events} events, each with the same weights; runs in which: ${seen.join(', ')}`
}
