import { Actor, actor, handles, Troupe, type ActorRef } from 'troupe'
import { tellInBursts, timeAll, timeEach, type ActorPeer } from './peer.js'

@actor('bench-counter', { module: import.meta.url })
export class Counter extends Actor {
  #count = 0

  @handles() add(by: number): void {
    this.#count += by
  }

  @handles() count(): number {
    return this.#count
  }

  @handles() fail(): void {
    throw new Error('asked to fail')
  }
}

/** Actors fail as fast as they can here: none of it may end the run, nor wait. */
const SUPERVISION = { maxRestarts: Number.MAX_SAFE_INTEGER, backoff: { baseMs: 0, jitter: 0 } }

export async function troupePeer(): Promise<ActorPeer> {
  const troupe = await Troupe.start({ supervision: SUPERVISION })
  let spawned = 0
  const spawn = (): Promise<ActorRef<Counter>> => troupe.spawn(Counter, { name: `a${spawned++}` })

  return {
    suffix: '',

    async tell(count) {
      const counter = await spawn()
      const burst = (messages: number): void => {
        for (let i = 0; i < messages; i++) counter.tell.add(1)
      }
      const rate = await tellInBursts(count, burst, async told => {
        if ((await counter.ask.count()) !== told) throw new Error('Troupe lost a message')
      })
      await troupe.stop(counter)
      return rate
    },

    async ask(count) {
      const counter = await spawn()
      const micros = await timeEach(count, () => counter.ask.count())
      await troupe.stop(counter)
      return micros
    },

    async spawnStop(count) {
      return timeAll(async () => {
        const actors = await Promise.all(Array.from({ length: count }, spawn))
        await Promise.all(actors.map(ref => troupe.stop(ref)))
      })
    },

    async restart(count) {
      const counter = await spawn()
      const spent = await timeAll(async () => {
        for (let i = 0; i < count; i++) {
          counter.tell.fail()
          await counter.ask.count()
        }
      })
      await troupe.stop(counter)
      return (spent / count) * 1000
    },

    async threadAsk(count) {
      const counter = await troupe.spawn(Counter, { name: `t${spawned++}`, isolation: 'thread' })
      const micros = await timeEach(count, () => counter.ask.count())
      await troupe.stop(counter)
      return micros
    },

    async idle(count) {
      const actors = await Promise.all(Array.from({ length: count }, spawn))
      return {
        held: actors,
        release: async () => {
          await Promise.all(actors.map(ref => troupe.stop(ref)))
        },
      }
    },

    async close() {
      await troupe.close()
    },
  }
}
