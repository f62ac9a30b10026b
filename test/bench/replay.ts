// How fast a program is taken through steps that were made before, against how fast the job makes them.

import { defineBench } from './harness.js'
import { runMnist, stepRate } from './mnist-job.js'

/** The killed worker replays all but the first few steps of an epoch. */
const KILLED_AT = 460

export default defineBench('replay', b => {
  let live = Number.NaN
  b.arm({
    case: 'replay',
    unit: 'steps/s',
    better: 'higher',
    run: async () => {
      const { events } = await runMnist({
        kills: [`worker-1@${KILLED_AT}`],
        args: { epochs: 1, batchSize: 64 },
      })
      live = stepRate(events, 50, KILLED_AT - 10)
      const restored = events.map(({ event }) => event).find(event => event.event === 'restored')
      if (restored?.replaySeconds == null) throw new Error('no worker came back')
      return restored.replayedSteps / restored.replaySeconds
    },
  })
  b.arm({ case: 'live', unit: 'steps/s', better: 'higher', run: () => live })
  b.bar({ case: 'replay', against: 'live', atLeast: 20 })
})
