import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { events, TensorData, type ActorRef, type Terminated, type TroupeError } from 'troupe'
import { simulate, type Fault, type SimulatedNode, type Simulation } from 'troupe/testing'
import type { RemotingOptions } from '../../src/node/remoting/options.js'
import { Echo, Watching } from './remoting-actors.js'

const QUIET = { debug() {}, info() {}, warn() {}, error() {} }

interface Setting {
  readonly seed?: number
  readonly nodes?: readonly string[]
  readonly faults?: readonly Fault[]
  readonly remoting?: RemotingOptions
  readonly strictPayloads?: boolean
  readonly maxMessages?: number
}

/** A cluster of three nodes, unless said otherwise, with an echo '/echo' on b that is restarted whenever it fails. */
async function cluster(
  {
    seed = 1,
    nodes = ['a', 'b', 'c'],
    faults = [],
    remoting = {},
    strictPayloads = false,
    maxMessages,
  }: Setting,
  scenario: (sim: Simulation, echo: ActorRef<Echo>) => Promise<void>,
): Promise<void> {
  await simulate(
    {
      seed,
      nodes,
      faults,
      ...(maxMessages === undefined ? {} : { network: { maxMessages } }),
      troupe: {
        remoting,
        strictPayloads,
        log: QUIET,
        supervision: { maxRestarts: 1_000, backoff: { baseMs: 1, maxMs: 1 } },
      },
      boot: async node => {
        if (node.id === 'b') await node.troupe.spawn(Echo, { name: 'echo' })
      },
    },
    sim => scenario(sim, sim.node('a').troupe.lookup(Echo, '/echo')),
  )
}

const remotingOf = (node: SimulatedNode) => node.troupe.remoting!

let watchers = 0

/** Lets a watcher on node a watch a path; answers what it is told. */
async function watching(
  sim: Simulation,
  path: string,
): Promise<{ seen: Terminated[]; watcher: ActorRef<Watching> }> {
  const seen: Terminated[] = []
  const name = `watcher-${(watchers += 1)}`
  const watcher = await sim.node('a').troupe.spawn(Watching, { name, args: seen })
  await watcher.ask.watch(path)
  return { seen, watcher }
}

t.test('Messages: an ask that is aborted before it was handled is not handled', async t => {
  await cluster({}, async (sim, echo) => {
    const a = sim.node('a').troupe
    const gate = await a.spawn(Echo, { name: 'gate' })
    const controller = new AbortController()
    const { signal } = controller
    const busy = echo.ask.waitFor(gate)
    const waiting = t.rejects(echo.ask.with({ signal }).note('aborted'), { code: 'ERR_ASK_ABORTED' })
    const kept = echo.ask.note('kept')
    // so that all of them are there, and the first is under way
    while ((sim.node('b').troupe.runtime.find('/echo')?.mailboxMessages ?? 0) < 2) await sim.sleep(1)
    controller.abort()
    await waiting
    await sim.sleep(100)
    await gate.ask.release()
    await Promise.all([busy, kept])
    t.same(await echo.ask.seen(), ['kept'])
    t.equal(a.counters().lateReplies, 0)
  })
})

t.test('Messages: shared memory stays in its process, and the sender is told where it is', async t => {
  await cluster({}, async (sim, echo) => {
    const region = new SharedArrayBuffer(8)
    const refusal = { code: 'ERR_SHARED_MEMORY', data: { path: 'args[1].region' } }
    await t.rejects(echo.ask.all(1, { region }), refusal)
    t.throws(() => echo.tell.all(1, { region }), refusal)
    const local = await sim.node('a').troupe.spawn(Echo, { name: 'local' })
    t.equal((await local.ask.all(region))[0], region, 'at home it is shared')
    t.same(await echo.ask.all(new Float32Array(region).slice()), [new Float32Array(2)], 'a copy travels')
    const lender = await sim.node('b').troupe.spawn(Echo, { name: 'lender', args: [region] })
    const remote = sim.node('a').troupe.lookup(Echo, lender.path)
    await t.rejects(remote.ask.seen(), { code: 'ERR_SHARED_MEMORY', data: { path: 'args[0][0]' } })
  })
})

t.test('Messages: arguments and replies of every kind arrive as they were sent', async t => {
  for (const strictPayloads of [false, true]) {
    await cluster({ strictPayloads }, async (sim, echo) => {
      const tensor = new TensorData('float32', [2, 2], new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer))
      const values = [
        1,
        'two',
        null,
        undefined,
        { deep: [new Map([['k', new Date(5)]])] },
        new Uint8Array([7]),
        2n ** 60n,
      ]
      t.same(await echo.ask.all(...values), values)
      const [back] = (await echo.ask.all(tensor)) as [TensorData]
      t.same([back.dtype, back.shape, [...back.bytes]], ['float32', [2, 2], [...tensor.bytes]])
      t.equal(await echo.ask.nothing(), undefined)
      t.equal(await echo.ask.double(4), 8, 'the schema sees what comes from another node')
      await t.rejects(echo.ask.double('x' as never), { code: 'ERR_PAYLOAD' })
      await t.rejects(
        echo.ask.all(() => {}),
        { code: 'ERR_PAYLOAD' },
        'what cannot travel is refused here',
      )
      const large = new Uint8Array(3_000_000).fill(9)
      t.equal(((await echo.ask.all(large))[0] as Uint8Array).length, large.length)
    })
  }
})

t.test('Messages: a ref travels, and works on the node that gets it, wherever its actor is', async t => {
  await cluster({}, async (sim, echo) => {
    const onC = await sim.node('c').troupe.spawn(Echo, { name: 'other' })
    t.equal(await sim.node('a').troupe.lookup(Echo, '/echo').ask.relay(onC, 'hello'), 'hello')
    const onA = await sim.node('a').troupe.spawn(Echo, { name: 'mine' })
    t.equal(await echo.ask.relay(onA, 'home'), 'home')
    const [back] = (await echo.ask.all(onA)) as [ActorRef<Echo>]
    t.same(await back.ask.all('local'), ['local'])
  })
})

t.test(
  'Asks: refusals and failures arrive with code, data and cause; the actor lives or restarts',
  async t => {
    await cluster({}, async (_, echo) => {
      await t.rejects(echo.ask.refuse(), { code: 'OUT_OF_STOCK', data: { article: 4711 } })
      await t.rejects(echo.ask.fail('no fuel'), { code: 'ERR_ACTOR_FAILED', cause: { message: 'no fuel' } })
      t.same(await echo.ask.all('after'), ['after'])
      const { handlers } = echo.type
      const unknown = echo.request({ ...handlers.get('nothing')!, name: 'unknown' }, undefined, undefined)
      await t.rejects(unknown, { code: 'ERR_UNKNOWN_MESSAGE', data: { message: 'unknown' } })
    })
  },
)

t.test('Asks: time out, are aborted, and the reply that comes then is counted', async t => {
  const late: unknown[] = []
  const listen = (event: unknown): number => late.push(event)
  subscribe(events.lateReply.name, listen)
  await cluster({ faults: [{ kind: 'delay', atMs: 10, forMs: 500, delayMs: 400 }] }, async (sim, echo) => {
    await echo.ask.nothing()
    await sim.sleep(20)
    await t.rejects(echo.ask.with({ timeoutMs: 1 }).nothing(), { code: 'ERR_ASK_TIMEOUT' })
    const abort = new AbortController()
    const aborted = t.rejects(echo.ask.with({ signal: abort.signal }).nothing(), { code: 'ERR_ASK_ABORTED' })
    abort.abort()
    await aborted
    await sim.sleep(3_000)
    t.equal(remotingOf(sim.node('a')).load().pendingAsks, 0)
  })
  unsubscribe(events.lateReply.name, listen)
  t.ok(late.length > 0, `${late.length} late replies`)
})

t.test(
  'Asks: one that comes back over another node to an actor that waits fails, and names the chain',
  async t => {
    await cluster({}, async (sim, echo) => {
      const mine = await sim.node('a').troupe.spawn(Echo, { name: 'mine' })
      await t.rejects(mine.ask.relayBack(echo, mine), {
        code: 'ERR_ACTOR_FAILED',
        cause: {
          code: 'ERR_ACTOR_FAILED',
          cause: { code: 'ERR_ASK_CYCLE', data: { chain: ['/mine', '/echo', '/mine'] } },
        },
      })
    })
  },
)

t.test(
  'Promise 1: over restarts in place messages keep their order, and none is lost on the way',
  async t => {
    for (let seed = 1; seed <= 20; seed++) {
      await cluster({ seed }, async (sim, echo) => {
        const kept: unknown[] = []
        const scribe = await sim.node('c').troupe.spawn(Echo, { name: 'scribe', args: kept })
        const remote = sim.node('a').troupe.lookup(Echo, '/scribe')
        void echo
        for (let i = 0; i < 200; i++) {
          remote.tell.note(i)
          if (i % 40 === 20) sim.node('c').troupe.kill(scribe)
          if (i % 10 === 0) await sim.sleep(1)
        }
        await sim.sleep(2_000)
        t.same(
          kept,
          Array.from({ length: 200 }, (_, i) => i),
          `seed ${seed}`,
        )
        t.equal(remotingOf(sim.node('a')).load().heldMessages, 0)
      })
    }
  },
)

t.test('Promise 1: an actor that moved to another node gets what was sent meanwhile, in order', async t => {
  await cluster({}, async sim => {
    const kept: unknown[] = []
    const first = await sim.node('b').troupe.spawn(Echo, { name: 'nomad', args: kept })
    const remote = sim.node('a').troupe.lookup(Echo, '/nomad')
    for (let i = 0; i < 50; i++) remote.tell.note(i)
    await sim.sleep(20)
    await sim.node('b').troupe.stop(first)
    for (let i = 50; i < 100; i++) remote.tell.note(i)
    const asked = remote.ask.all('where')
    await sim.sleep(100)
    await sim.node('c').troupe.spawn(Echo, { name: 'nomad', args: kept })
    t.same(await asked, ['where'], 'an ask waits too')
    await sim.sleep(1_000)
    t.same(
      kept,
      Array.from({ length: 100 }, (_, i) => i),
    )
    t.ok(remotingOf(sim.node('b')).counters.returned > 0, 'some were returned')
    // also a ref from when it was a neighbour
    t.same(await first.ask.all('there'), ['there'])
  })
})

t.test(
  'Promise 2: an ask to a path that nobody has fails after the grace period, a tell is a dead letter',
  async t => {
    await cluster({}, async sim => {
      const { troupe } = sim.node('a')
      const nobody = troupe.lookup(Echo, '/nobody')
      nobody.tell.note(1)
      await t.rejects(nobody.ask.with({ timeoutMs: 60_000 }).nothing(), { code: 'ERR_ACTOR_NOT_FOUND' })
      t.ok(sim.nowMs >= 1_000 && sim.nowMs < 3_000, `after ${sim.nowMs} ms`)
      t.equal(troupe.counters().deadLetters, 1)
      // one that appears within the grace period is found
      const late = troupe.lookup(Echo, '/late')
      const asked = late.ask.all('x')
      await sim.sleep(500)
      await sim.node('c').troupe.spawn(Echo, { name: 'late' })
      t.same(await asked, ['x'])
    })
  },
)

t.test('Promise 2: when the target dies, is stopped, or its node is lost, asks under way settle', async t => {
  await cluster({}, async (sim, echo) => {
    const long = echo.ask.with({ timeoutMs: 1e6 })
    await echo.ask.nothing()
    const stopped = t.rejects(long.never(), { code: 'ERR_REPLY_LOST' })
    await sim.sleep(10)
    sim.node('b').troupe.kill(echo)
    await stopped
    const lost = t.rejects(long.never(), { code: 'ERR_NODE_LOST', data: { node: 'b' } })
    await sim.sleep(10)
    sim.node('b').crash()
    await lost
    t.equal(remotingOf(sim.node('a')).load().pendingAsks, 0)
  })
})

t.test(
  'Promise 3: a watch fires once with the reason: stopped, failed, node lost, never existed, dead before',
  async t => {
    const lossy: Fault = { kind: 'drop', atMs: 0, forMs: 5_000, probability: 0.4 }
    for (const faults of [[], [lossy]]) {
      await cluster({ faults, seed: 3 }, async sim => {
        const b = sim.node('b').troupe
        const stops = await b.spawn(Echo, { name: 'stops' })
        const fails = await b.spawn(Echo, { name: 'fails', restart: 'temporary' })
        const [stopped, failed, lost, never] = await Promise.all(
          ['/stops', '/fails', '/echo', '/ghost'].map(path => watching(sim, path)),
        )
        await sim.sleep(6_000)
        b.kill(sim.node('b').troupe.lookup(Echo, '/echo'))
        await sim.sleep(500)
        t.same(lost!.seen, [], 'a restart in place is no death')
        await b.stop(stops)
        fails.tell.fail('no fuel')
        await sim.sleep(500)
        const before = await watching(sim, '/stops')
        await sim.sleep(3_000)
        sim.node('b').crash()
        await sim.sleep(500)
        t.match(stopped!.seen, [{ path: '/stops', reason: { kind: 'stopped' } }])
        t.match(failed!.seen, [{ path: '/fails', reason: { kind: 'failed', cause: { message: 'no fuel' } } }])
        t.match(lost!.seen, [{ path: '/echo', reason: { kind: 'node-lost', node: 'b' } }])
        t.match(never!.seen, [{ path: '/ghost', incarnation: 0, reason: { kind: 'never-existed' } }])
        t.match(before.seen, [{ path: '/stops', reason: { kind: 'stopped' } }])
        for (const { seen } of [stopped!, failed!, lost!, never!, before]) t.equal(seen.length, 1)
      })
    }
  },
)

t.test('Promise 3: an unwatch wins over a death on the way; watching again counts anew', async t => {
  await cluster({}, async sim => {
    const stops = await sim.node('b').troupe.spawn(Echo, { name: 'stops' })
    const { seen, watcher } = await watching(sim, '/stops')
    await sim.sleep(50)
    void sim.node('b').troupe.stop(stops)
    await watcher.ask.unwatch('/stops')
    await sim.sleep(500)
    t.same(seen, [])
    await watcher.ask.watch('/stops')
    await sim.sleep(3_000)
    t.equal(seen.length, 1)
  })
})

t.test(
  'Promise 3: a watch that arrives after its actor died and another took the path tells the first death',
  async t => {
    await cluster({ faults: [{ kind: 'delay', atMs: 5, forMs: 300, delayMs: 150 }] }, async sim => {
      const b = sim.node('b').troupe
      const first = await b.spawn(Echo, { name: 'phoenix' })
      const seen: Terminated[] = []
      const watcher = await sim.node('a').troupe.spawn(Watching, { name: 'watcher', args: seen })
      await sim.node('a').troupe.lookup(Echo, '/phoenix').ask.nothing()
      await sim.sleep(10)
      await watcher.ask.watch('/phoenix')
      await b.stop(first)
      await b.spawn(Echo, { name: 'phoenix' })
      await sim.sleep(2_000)
      t.match(seen, [{ path: '/phoenix', reason: { kind: 'stopped' } }])
    })
  },
)

t.test('Promise 8: a node that was declared down is refused, learns it, and its runtime ends', async t => {
  await cluster({}, async (sim, echo) => {
    await echo.ask.nothing()
    const a = sim.node('a')
    const { troupe } = a
    let ended: unknown
    void troupe.closed.then(reason => {
      ended = reason
    })
    a.expel()
    const asked = t.rejects(echo.ask.with({ timeoutMs: 60_000 }).never(), {
      code: /ERR_NODE_LOST|ERR_NODE_FENCED/,
    })
    await sim.sleep(25)
    // by now the others know; a does not need to
    const before = remotingOf(sim.node('b')).counters.stale
    echo.tell.note('from the other side')
    await sim.sleep(1_000)
    await asked
    t.same(await sim.node('b').troupe.lookup(Echo, '/echo').ask.seen(), [])
    t.ok(remotingOf(sim.node('b')).counters.stale >= before)
    t.match(ended, { kind: 'failed', cause: { code: 'ERR_NODE_FENCED' } })
    await t.rejects(echo.ask.nothing(), { code: 'ERR_NODE_FENCED' })
    echo.tell.note('nobody hears')
  })
})

t.test('Promise 9: what a pair holds is bounded in messages and bytes; so are asks', async t => {
  const remoting = { maxPairMessages: 10, maxPairBytes: 10_000, maxPendingAsks: 8 }
  await cluster({ remoting }, async sim => {
    const { troupe } = sim.node('a')
    const ghost = troupe.lookup(Echo, '/ghost')
    for (let i = 0; i < 30; i++) ghost.tell.note(i)
    t.equal(troupe.counters().deadLetters, 20)
    await t.rejects(ghost.ask.nothing(), { code: 'ERR_SEND_BUFFER_FULL', data: { maxPairMessages: 10 } })
    const heavy = troupe.lookup(Echo, '/heavy')
    for (let i = 0; i < 5; i++) heavy.tell.note(new Uint8Array(4_000))
    t.equal(troupe.counters().deadLetters, 23)
    const other = troupe.lookup(Echo, '/other')
    const asks = Array.from({ length: 20 }, () =>
      other.ask.nothing().catch((error: unknown) => (error as TroupeError).code),
    )
    const codes = await Promise.all(asks)
    t.equal(codes.filter(code => code === 'ERR_TOO_MANY_ASKS').length, 12)
    t.equal(codes.filter(code => code === 'ERR_ACTOR_NOT_FOUND').length, 8)
    await sim.sleep(3_000)
    t.match(remotingOf(sim.node('a')).load(), { heldMessages: 0, heldBytes: 0, pendingAsks: 0, searches: 0 })
  })
})

t.test(
  'Promise 9: a full lane is backpressure: messages wait, and go on in order when there is room',
  async t => {
    await cluster({ maxMessages: 8 }, async (sim, echo) => {
      await echo.ask.nothing()
      for (let i = 0; i < 300; i++) echo.tell.note(i)
      t.ok(remotingOf(sim.node('a')).load().heldMessages > 200)
      await sim.sleep(2_000)
      t.same(
        await echo.ask.seen(),
        Array.from({ length: 300 }, (_, i) => i),
      )
    })
  },
)

t.test('Promise 9: a node that takes no system messages is given up, on both sides', async t => {
  const cut: Fault = { kind: 'partition', atMs: 900, forMs: 1_000, to: ['b'] }
  await cluster({ faults: [cut], remoting: { maxSystemMessages: 20 } }, async (sim, echo) => {
    const { seen } = await watching(sim, '/echo')
    const onB: Terminated[] = []
    const flooded: Terminated[] = []
    await sim.node('a').troupe.spawn(Echo, { name: 'mine' })
    const watcher = await sim.node('b').troupe.spawn(Watching, { name: 'watcher', args: onB })
    await watcher.ask.watch('/mine')
    const more = Array.from({ length: 25 }, (_, i) => `more-${i}`)
    for (const name of more) {
      await sim.node('b').troupe.spawn(Echo, { name })
      await sim.node('a').troupe.lookup(Echo, `/${name}`).ask.nothing()
    }
    await sim.sleep(1_000 - sim.nowMs)
    const flood = await sim.node('a').troupe.spawn(Watching, { name: 'flood', args: flooded })
    for (const name of more) await flood.ask.watch(`/${name}`)
    await sim.sleep(5_000)
    t.match(seen, [{ reason: { kind: 'node-lost', node: 'b' } }])
    t.match(onB, [{ reason: { kind: 'node-lost', node: 'a' } }])
    t.equal(flooded.length, 25, 'also what was refused room is told')
    await t.rejects(echo.ask.nothing(), { code: 'ERR_ACTOR_NOT_FOUND' })
  })
})

t.test('Idle pairs and routes are forgotten on both sides, and come back in order', async t => {
  await cluster({ remoting: { idlePairMs: 100 } }, async (sim, echo) => {
    for (let i = 0; i < 10; i++) echo.tell.note(i)
    await sim.sleep(50)
    t.equal(remotingOf(sim.node('b')).load().inboundStreams, 1)
    await sim.sleep(500)
    t.equal(remotingOf(sim.node('a')).load().routes, 0)
    t.equal(remotingOf(sim.node('b')).load().inboundStreams, 0)
    for (let i = 10; i < 20; i++) {
      echo.tell.note(i)
      await sim.sleep(i === 15 ? 300 : 1)
    }
    t.same(
      await echo.ask.seen(),
      Array.from({ length: 20 }, (_, i) => i),
    )
  })
})

t.test('A node that is closed lets the others know of its deaths first', async t => {
  await cluster({}, async (sim, echo) => {
    const { seen } = await watching(sim, '/echo')
    await echo.ask.nothing()
    await sim.sleep(50)
    await sim.node('b').troupe.close()
    await sim.sleep(10)
    t.match(seen, [{ path: '/echo', reason: { kind: 'stopped' } }])
  })
})
