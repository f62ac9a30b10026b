// Whole jobs under kills, dying threads and a failing disk, seed by seed: each must end as one that nothing disturbs.
// Where workers may be apart, the weights are tallies of rows, so none was lost or doubled.
// `--seed` is the first, `--count` how many.

import { explore } from 'troupe/testing'
import { CALM, calmEnd, endsAs, HARSH, noFaults, wholeJob, wholeJobOptions } from '../simulation/whole-job.js'
import type { Soak } from './main.js'

const DEFAULT_COUNT = 1_000
/** How many steps workers may be apart: exact mode, a bound, none. */
const MODES = [0, 2, Infinity]
/** Of the seeds, for each mode beside exact mode. */
const APART_PART = 0.3

export const soak: Soak = async ({ seed, count = DEFAULT_COUNT }) => {
  const lines: string[] = []
  for (const staleness of MODES) {
    const check = endsAs(await calmEnd({ ...CALM, staleness }))
    const name = `training, staleness ${staleness}`
    const seeds = staleness === 0 ? count : Math.ceil(count * APART_PART)
    const options = { ...wholeJobOptions, name, firstSeed: seed, seeds, plan: noFaults }
    const report = await explore(options, wholeJob({ ...HARSH, staleness }, check))
    const seen = Object.entries(report.sometimes).map(([what, runs]) => `${what} ${runs}`)
    lines.push(
      `staleness ${staleness}: ${report.seeds} seeds, ${report.events} events, each with the same weights; ` +
        `runs in which: ${seen.join(', ')}`,
    )
  }
  return lines.join('\n')
}
