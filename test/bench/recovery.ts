// From a kill to the next step: of a worker (with and without a spare thread), a server, the feeder and the
// supervisor, in the job of `npm start`.

import type { JobRestored } from 'troupe'
import { defineBench } from './harness.js'
import { runMnist } from './mnist-job.js'

/** Far enough apart that each recovery is over before the next kill. */
const KILLS = ['worker-1@60', 'feeder@120', 'supervisor@180', 'ps-0@240']
const CHECKPOINT_EVERY = 20

type Recovery = Readonly<Record<string, JobRestored>>

/** By actor. */
async function recoveries(spareThreads: number): Promise<Recovery> {
  const { events, done } = await runMnist({
    kills: KILLS,
    args: { epochs: 1, batchSize: 64 },
    spareThreads,
    checkpoints: { everySteps: CHECKPOINT_EVERY },
  })
  if (!done.exact) throw new Error(`the job was not exact: ${done.exactNote ?? ''}`)
  const restored = events.map(({ event }) => event).filter(event => event.event === 'restored')
  return Object.fromEntries(restored.map(event => [event.actor, event]))
}

const inMs = (seconds: number | null | undefined): number => (seconds ?? Number.NaN) * 1000

export default defineBench('recovery', b => {
  for (const [suffix, spareThreads] of [
    ['', 0],
    ['-spare', 1],
  ] as const) {
    let run: Recovery
    const arm = (name: string, value: () => number | Promise<number>): void => {
      b.arm({ case: `${name}${suffix}`, unit: 'ms', better: 'lower', run: value })
    }
    // The kill is the detection: whoever meets it says so. A thread that dies by itself is told of by its exit.
    arm('worker', async () => {
      run = await recoveries(spareThreads)
      const { seconds, replaySeconds } = run['worker-1']!
      return inMs(seconds) - inMs(replaySeconds)
    })
    arm('worker-respawn', () => inMs(run['worker-1']?.respawnSeconds))
    arm('worker-restore', () => {
      const { seconds, respawnSeconds, replaySeconds } = run['worker-1']!
      return inMs(seconds) - inMs(respawnSeconds) - inMs(replaySeconds)
    })
    arm('worker-replay', () => inMs(run['worker-1']?.replaySeconds))
    for (const actor of ['ps-0', 'feeder', 'supervisor']) arm(actor, () => inMs(run[actor]?.seconds))
  }
  b.bar({ case: 'worker-spare', atMost: 300 })
})
