// Gradients to the parameter servers and new weights back: 16 MB of float32 in 8 variables, two servers in threads,
// Adam, one and two workers in threads. A step holds every worker's push, the reduction, the update and one copy out
// of the new weights by every worker.

import { Troupe } from 'troupe'
import { Exchange, MODEL_BYTES } from './exchange.js'
import { defineBench } from './harness.js'

const STEPS = 60

export default defineBench('pushpull', async b => {
  const troupe = await Troupe.start({})
  b.after(() => troupe.close())
  for (const [workers, atLeast] of [
    [1, 100],
    [2, 85],
  ] as const) {
    const name = workers === 1 ? '1-worker' : '2-workers'
    const exchange = await Exchange.open(troupe, name, workers)
    b.after(() => exchange.close())
    let rate = 0
    b.arm({
      case: name,
      unit: 'steps/s',
      better: 'higher',
      run: async () => {
        const { totalMs } = await exchange.run(STEPS)
        rate = (STEPS / totalMs) * 1000
        return rate
      },
    })
    b.arm({
      case: `${name}-mb`,
      unit: 'MB/s',
      better: 'higher',
      run: () => (rate * workers * 2 * MODEL_BYTES) / 1e6,
    })
    b.bar({ case: name, atLeast })
  }
  // The floor: the same bytes in and out, copied in one thread.
  const from = new Float32Array(MODEL_BYTES / 4).fill(1)
  const to = new Float32Array(MODEL_BYTES / 4)
  b.arm({
    case: '1-worker-memcpy',
    unit: 'steps/s',
    better: 'higher',
    run: () => {
      const began = performance.now()
      for (let step = 0; step < STEPS; step++) {
        to.set(from)
        from.set(to)
      }
      return (STEPS / (performance.now() - began)) * 1000
    },
  })
})
