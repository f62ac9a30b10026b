// What checkpoints cost training: the exchange of `pushpull` with one worker, a checkpoint each second (16 MB of
// weights and 32 MB of Adam's slots) against none.

import { Troupe } from 'troupe'
import { Exchange } from './exchange.js'
import { defineBench, median } from './harness.js'

/** Some seconds of steps, so that several checkpoints fall into them. */
const STEPS = 300
const EVERY_MS = 1_000

export default defineBench('checkpoint', async b => {
  const troupe = await Troupe.start({})
  b.after(() => troupe.close())
  const without = await Exchange.open(troupe, 'without', 1)
  b.after(() => without.close())
  const kept = await Exchange.open(troupe, 'with', 1, EVERY_MS)
  b.after(() => kept.close())

  b.arm({
    case: 'without',
    unit: 'steps/s',
    better: 'higher',
    run: async () => (STEPS / (await without.run(STEPS)).totalMs) * 1000,
  })
  let [stalled, written] = [0, 0]
  b.arm({
    case: 'each-second',
    unit: 'steps/s',
    better: 'higher',
    run: async () => {
      const { first, stepMs, totalMs } = await kept.run(STEPS)
      const cuts = (await kept.checkpoints()).filter(step => step > first && step <= first + STEPS)
      const usual = median(stepMs)
      // Version v is cut when step v - 1 closes, which is what that step's worker waits for.
      const stalls = cuts.map(version => Math.max(0, stepMs[version - 1 - first]! - usual))
      stalled = (stalls.reduce((sum, ms) => sum + ms, 0) / totalMs) * 100
      written = cuts.length
      return (STEPS / totalMs) * 1000
    },
  })
  b.arm({ case: 'stalled', unit: '% of time', better: 'lower', run: () => stalled })
  b.arm({ case: 'written', unit: 'checkpoints', better: 'higher', run: () => written })
  b.bar({ case: 'each-second', against: 'without', atLeast: 0.95 })
  b.bar({ case: 'stalled', atMost: 1 })
  b.bar({ case: 'written', atLeast: 1 })
})
