import { createSystem, type Actor, type ActorRef, type ActorSystem } from 'comedy'
import { tellInBursts, timeAll, timeEach, type ActorPeer } from './peer.js'

/** A behaviour, as comedy's handbook writes one. Sent to its thread as source, so it names nothing outside. */
class Counter {
  private total = 0

  add(by: number): void {
    this.total += by
  }

  count(): number {
    return this.total
  }
}

export async function comedyPeer(): Promise<ActorPeer> {
  // `test` silences its log, and changes nothing else
  const system: ActorSystem = createSystem({ test: true })
  const root: Actor = await system.rootActor()
  let threaded: Promise<ActorRef> | undefined
  const create = (options: object = {}): Promise<ActorRef> => root.createChild(new Counter(), options)
  const countOf = (actor: ActorRef): Promise<number> => actor.sendAndReceive('count') as Promise<number>

  return {
    suffix: '-comedy',

    async tell(count) {
      const counter = await create()
      const burst = (messages: number): void => {
        for (let i = 0; i < messages; i++) void counter.send('add', 1)
      }
      const rate = await tellInBursts(count, burst, async told => {
        // asks are a step shorter than tells here, so the first may overtake the last of them
        while ((await countOf(counter)) !== told);
      })
      await counter.destroy()
      return rate
    },

    async ask(count) {
      const counter = await create()
      const micros = await timeEach(count, () => countOf(counter))
      await counter.destroy()
      return micros
    },

    async spawnStop(count) {
      return timeAll(async () => {
        const actors = await Promise.all(Array.from({ length: count }, () => create()))
        await Promise.all(actors.map(actor => actor.destroy()))
      })
    },

    async threadAsk(count) {
      // one thread for all rounds: destroying the actor does not end it
      const counter = await (threaded ??= root.createChild(Counter, { mode: 'threaded' }))
      return timeEach(count, () => countOf(counter))
    },

    async idle(count) {
      const actors = await Promise.all(Array.from({ length: count }, () => create()))
      return {
        held: actors,
        release: async () => {
          await Promise.all(actors.map(actor => actor.destroy()))
        },
      }
    },

    async close() {
      await system.destroy()
    },
  }
}
