import { createRequire } from 'node:module'
import { tellInBursts, timeAll, timeEach, turn, type ActorPeer } from './peer.js'

interface Ref {
  readonly name: string
}

interface Context {
  readonly reset: symbol
}

/** The part of nact that is measured. Its own types name a module that its package does not resolve to. */
interface Nact {
  start(): Ref
  spawn(
    parent: Ref,
    handle: (state: number, message: Message) => number,
    name: string,
    options?: {
      initialState?: number
      onCrash?: (message: unknown, error: unknown, context: Context) => symbol
    },
  ): Ref
  dispatch(actor: Ref, message: Message): void
  query(actor: Ref, message: (sender: Ref) => Message, timeoutMs: number): Promise<number>
  stop(actor: Ref): void
}

type Message =
  | { readonly type: 'add'; readonly by: number }
  | { readonly type: 'count'; readonly sender: Ref }
  | { readonly type: 'fail' }

const TIMEOUT_MS = 60_000
const ADD: Message = { type: 'add', by: 1 }

const nact = createRequire(import.meta.url)('nact') as Nact

function handle(state: number, message: Message): number {
  switch (message.type) {
    case 'add':
      return state + message.by
    case 'count':
      nact.dispatch(message.sender, state as unknown as Message)
      return state
    case 'fail':
      throw new Error('asked to fail')
  }
}

export function nactPeer(): ActorPeer {
  const system = nact.start()
  let spawned = 0
  const spawn = (): Ref => nact.spawn(system, handle, `a${spawned++}`, { initialState: 0 })
  const countOf = (actor: Ref): Promise<number> =>
    nact.query(actor, sender => ({ type: 'count', sender }), TIMEOUT_MS)

  return {
    suffix: '-nact',

    async tell(count) {
      const counter = spawn()
      const burst = (messages: number): void => {
        for (let i = 0; i < messages; i++) nact.dispatch(counter, ADD)
      }
      const rate = await tellInBursts(count, burst, async told => {
        if ((await countOf(counter)) !== told) throw new Error('nact lost a message')
      })
      nact.stop(counter)
      return rate
    },

    async ask(count) {
      const counter = spawn()
      const micros = await timeEach(count, () => countOf(counter))
      nact.stop(counter)
      return micros
    },

    async spawnStop(count) {
      return timeAll(async () => {
        const actors = Array.from({ length: count }, spawn)
        for (const actor of actors) nact.stop(actor)
        await turn()
      })
    },

    async restart(count) {
      const counter = nact.spawn(system, handle, `a${spawned++}`, {
        initialState: 0,
        onCrash: (_message, _error, context) => context.reset,
      })
      const spent = await timeAll(async () => {
        for (let i = 0; i < count; i++) {
          nact.dispatch(counter, { type: 'fail' })
          await countOf(counter)
        }
      })
      nact.stop(counter)
      return (spent / count) * 1000
    },

    async idle(count) {
      const actors = Array.from({ length: count }, spawn)
      return {
        held: actors,
        release: async () => {
          for (const actor of actors) nact.stop(actor)
          await turn()
        },
      }
    },

    async close() {
      nact.stop(system)
    },
  }
}
