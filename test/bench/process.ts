// An actor in a process of its own against one in a thread: the round trip of a small ask, and 16 MB one way, two under way.

import { Troupe, type ActorRef } from 'troupe'
import { defineBench, quantile } from './harness.js'
import { Echo } from './process-echo.js'

const ASKS = 5_000

/** The weights of a small convolutional network, or a batch of pictures. */
const LARGE_BYTES = 16 * 2 ** 20
const TRANSFERS = 20

const MEGABYTE = 1e6

async function askTimesUs(echo: ActorRef<Echo>): Promise<Float64Array> {
  const times = new Float64Array(ASKS)
  for (let i = 0; i < ASKS; i++) {
    const started = performance.now()
    await echo.ask.echo(i)
    times[i] = (performance.now() - started) * 1000
  }
  return times
}

/** Two under way, as whoever feeds an actor keeps it: one is packed while the other travels. */
async function megabytesASecond(transfer: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  let last: Promise<unknown> = Promise.resolve()
  for (let i = 0; i < TRANSFERS; i++) {
    const next = transfer()
    await last
    last = next
  }
  await last
  return (TRANSFERS * LARGE_BYTES) / MEGABYTE / ((performance.now() - started) / 1000)
}

export default defineBench('process', async b => {
  const troupe = await Troupe.start()
  b.after(() => troupe.close())
  const echoes = new Map<string, ActorRef<Echo>>()
  for (const isolation of ['process', 'thread'] as const) {
    echoes.set(isolation, await troupe.spawn(Echo, { name: isolation, isolation }))
  }
  const bytes = new Uint8Array(LARGE_BYTES).fill(1)
  for (const [isolation, echo] of echoes) {
    b.arm({
      case: `${isolation}-ask-p50-us`,
      unit: 'us',
      better: 'lower',
      run: async () => quantile(await askTimesUs(echo), 0.5),
    })
  }
  for (const [isolation, echo] of echoes) {
    const arm = (name: string, transfer: () => Promise<unknown>): void =>
      b.arm({
        case: `${isolation}-${name}`,
        unit: 'MB/s',
        better: 'higher',
        run: () => megabytesASecond(transfer),
      })
    arm('there-16mb', () => echo.ask.take(bytes))
    arm('back-16mb', () => echo.ask.give(LARGE_BYTES))
  }
  b.bar({ case: 'process-there-16mb', atLeast: 1_500 })
  b.bar({ case: 'process-back-16mb', atLeast: 1_500 })
})
