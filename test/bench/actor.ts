// Actors against nact, comedy, and the floor: a bare queue in one thread, a bare postMessage between two.

import { collectGarbage, defineBench, quantile, type Arm } from './harness.js'
import { bareFloor } from './peers/bare.js'
import { comedyPeer } from './peers/comedy.js'
import { nactPeer } from './peers/nact.js'
import { troupePeer } from './peers/troupe.js'
import { turn, type ActorPeer } from './peers/peer.js'

/** How much of each workload a peer gets: enough for some tenths of a second. */
interface Load {
  readonly tells: number
  readonly asks: number
  readonly restarts: number
  readonly threadAsks: number
  readonly idle: number
}

/** Actors started and stopped by those that can do it in seconds; the others do fewer, scaled to this. */
const SPAWNED = 100_000

const FAST: Load = { tells: 2_000_000, asks: 300_000, restarts: 2_000, threadAsks: 5_000, idle: SPAWNED }
const NACT: Load = { ...FAST, tells: 100_000, asks: 60_000 }
const COMEDY: Load = { ...FAST, tells: 50_000, asks: 60_000, idle: 5_000 }

/** What is still reachable once callbacks that wait for their turn let go of what they hold; bytes. */
async function settledHeap(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await turn()
    collectGarbage()
  }
  return process.memoryUsage().heapUsed
}

/** Heap growth an actor after collection, its ref held and no message sent yet. */
async function idleBytes(start: NonNullable<ActorPeer['idle']>, count: number): Promise<number> {
  const before = await settledHeap()
  const { held, release } = await start(count)
  const grown = (await settledHeap()) - before
  if (held === undefined) throw new Error('the actors must stay reachable until they are weighed')
  await release()
  return grown / count
}

const CASES = [
  'tell',
  'ask-p50-us',
  'ask-p99-us',
  'spawn-stop',
  'restart',
  'thread-ask-p50-us',
  'idle-actor-bytes',
] as const

/** What a peer is measured by; a case that it has no means for is absent. */
function armsOf(peer: ActorPeer, load: Load): Partial<Record<(typeof CASES)[number], Arm>> {
  const { suffix, tell, ask, spawnStop, restart, threadAsk, idle } = peer
  const arms: Partial<Record<(typeof CASES)[number], Arm>> = {}
  const add = (
    name: (typeof CASES)[number],
    unit: string,
    run: Arm['run'],
    better: Arm['better'] = 'lower',
  ): void => {
    arms[name] = { case: `${name}${suffix}`, unit, better, run }
  }
  if (tell) add('tell', 'messages/s', () => tell(load.tells), 'higher')
  if (ask) {
    add('ask-p50-us', 'us', async () => quantile(await ask(load.asks), 0.5))
    add('ask-p99-us', 'us', async () => quantile(await ask(load.asks), 0.99))
  }
  if (spawnStop) {
    const scale = SPAWNED / load.idle
    add('spawn-stop', `ms/${SPAWNED}`, async () => (await spawnStop(load.idle)) * scale)
  }
  if (restart) add('restart', 'us', () => restart(load.restarts))
  if (threadAsk) add('thread-ask-p50-us', 'us', async () => quantile(await threadAsk(load.threadAsks), 0.5))
  if (idle) add('idle-actor-bytes', 'bytes', () => idleBytes(idle, load.idle))
  return arms
}

export default defineBench(
  'actor',
  async b => {
    const peers: [ActorPeer, Load][] = [
      [await troupePeer(), FAST],
      [nactPeer(), NACT],
      [await comedyPeer(), COMEDY],
      [bareFloor(), FAST],
    ]
    for (const [peer] of peers) b.after(peer.close)
    // the same case of all peers in a row: what is compared is measured close together
    const arms = peers.map(([peer, load]) => armsOf(peer, load))
    for (const name of CASES) for (const arm of arms) if (arm[name] !== undefined) b.arm(arm[name])
    b.bar({ case: 'tell', against: 'tell-nact', atLeast: 20 })
    b.bar({ case: 'tell', against: 'tell-floor', atLeast: 0.25 })
    b.bar({ case: 'ask-p50-us', against: 'ask-p50-us-nact', atMost: 0.3 })
    b.bar({ case: 'thread-ask-p50-us', against: 'thread-ask-p50-us-floor', atMost: 1.5 })
    b.bar({ case: 'spawn-stop', atMost: 400 })
    b.bar({ case: 'idle-actor-bytes', atMost: 600 })
  },
  { packages: ['nact', 'comedy'] },
)
