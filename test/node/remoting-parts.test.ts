import fc from 'fast-check'
import t from 'tap'
import { Troupe, type Terminated } from 'troupe'
import { settle, VirtualClock } from 'troupe/testing'
import { SystemScheduler } from '../../src/determinism/index.js'
import { SingleNodeMembership, type Membership, type MembershipEvent } from '../../src/node/membership.js'
import { newCounters } from '../../src/node/remoting/counters.js'
import { Fence } from '../../src/node/remoting/fence.js'
import { InboundStreams } from '../../src/node/remoting/inbound-streams.js'
import { NumberSet } from '../../src/node/remoting/number-set.js'
import { compileRemoting } from '../../src/node/remoting/options.js'
import { SystemChannel } from '../../src/node/remoting/system-channel.js'
import { MemoryTransport } from '../../src/transport/memory.js'
import type { NodeAddress } from '../../src/transport/port.js'
import { Echo, Watching } from './remoting-actors.js'

t.test('NumberSet: holds what was added, in as few ranges as it can', t => {
  fc.assert(
    fc.property(fc.array(fc.nat(30)), values => {
      const set = new NumberSet()
      const model = new Set<number>()
      for (const value of values) {
        set.add(value)
        model.add(value)
        const starts = [...model].filter(member => !model.has(member - 1))
        if (set.ranges !== starts.length) return false
        for (let i = -1; i <= 31; i++) if (set.has(i) !== model.has(i)) return false
      }
      return true
    }),
  )
  t.end()
})

t.test(
  'InboundStreams: whatever order and copies come, each is taken once, in order; gaps are counted',
  t => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 })), arrivals => {
        const counters = newCounters()
        const streams = new InboundStreams(counters)
        const taken = arrivals.filter(sequence => streams.accept(1, sequence))
        const rising = taken.every((sequence, i) => i === 0 || sequence > taken[i - 1]!)
        const last = taken.at(-1) ?? 0
        return (
          rising &&
          counters.duplicates === arrivals.length - taken.length &&
          counters.lost === last - taken.length
        )
      }),
    )
    const streams = new InboundStreams(newCounters())
    t.ok(streams.accept(1, 1))
    t.ok(streams.accept(2, 1), 'streams do not know each other')
    streams.close(1)
    t.notOk(streams.accept(1, 2), 'a closed one takes nothing, ever')
    t.equal(streams.open, 1)
    t.end()
  },
)

t.test('Fence: refuses an incarnation that is over and those before it, and no other node', t => {
  const fence = new Fence()
  t.notOk(fence.refuses({ id: 'a', incarnation: 0 }))
  fence.raise({ id: 'a', incarnation: 3 })
  fence.raise({ id: 'a', incarnation: 2 })
  t.same(
    [2, 3, 4].map(incarnation => fence.refuses({ id: 'a', incarnation })),
    [true, true, false],
  )
  t.notOk(fence.refuses({ id: 'b', incarnation: 1 }))
  t.end()
})

t.test(
  'SystemChannel: every message is taken once and in order, whatever the network loses or doubles',
  async t => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('pass', 'lose', 'double', 'late'), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 40 }),
        async (fates, count) => {
          const clock = new VirtualClock({ settle: () => settle(1) })
          const taken: number[] = []
          let turn = 0
          // after what the run decides the network is fine, so that it can end
          const travel = (arrive: () => void): void => {
            const fate = turn < fates.length ? fates[turn] : 'pass'
            turn++
            if (fate === 'lose') return
            clock.after(fate === 'late' ? 70 : 1, arrive)
            if (fate === 'double') clock.after(2, arrive)
          }
          const common = { clock, limits: compileRemoting({}), counters: newCounters(), onOverflow: () => {} }
          const receiver = new SystemChannel({ ...common, send: () => true })
          const sender: SystemChannel = new SystemChannel({
            ...common,
            send: ([sequence]) => {
              travel(() => {
                if (receiver.take(sequence!)) taken.push(sequence!)
                const { received } = receiver
                travel(() => sender.acknowledged(received))
              })
              return true
            },
          })
          let acknowledged = 0
          for (let i = 0; i < count; i++) {
            sender.post(
              sequence => new Uint8Array([sequence]),
              () => acknowledged++,
            )
          }
          await clock.advance(120_000)
          sender.close()
          t.same(
            taken,
            Array.from({ length: count }, (_, i) => i + 1),
          )
          t.equal(acknowledged, count)
          t.equal(sender.waiting, 0)
        },
      ),
      { numRuns: 40 },
    )
  },
)

t.test('SystemChannel: a bound that is reached is told, a full lane is tried again', async t => {
  const clock = new VirtualClock()
  let overflows = 0
  let room = 0
  const channel = new SystemChannel({
    clock,
    limits: compileRemoting({ maxSystemMessages: 3, maxSystemBytes: 100 }),
    counters: newCounters(),
    send: () => room-- > 0,
    onOverflow: () => overflows++,
  })
  for (let i = 0; i < 3; i++) channel.post(() => new Uint8Array(10))
  t.equal(overflows, 0)
  channel.post(() => new Uint8Array(10))
  t.equal(overflows, 1)
  room = 10
  await clock.advance(60)
  t.ok(room < 10, 'the timer sends what found no room')
  channel.acknowledged(4)
  channel.post(() => new Uint8Array(200))
  t.equal(overflows, 1, 'one message passes whatever its size')
  channel.post(() => new Uint8Array(1))
  t.equal(overflows, 2)
  channel.close()
  await channel.drained()
})

/** A membership that a test writes by hand. */
class Told implements Membership {
  readonly self: NodeAddress
  readonly up: NodeAddress[]
  readonly #listeners = new Set<(event: MembershipEvent) => void>()

  constructor(self: NodeAddress, up: NodeAddress[]) {
    this.self = self
    this.up = up
  }

  members(): readonly NodeAddress[] {
    return this.up
  }

  subscribe(listener: (event: MembershipEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(event: MembershipEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

t.test('Two runtimes in one process, on the real event loop and the memory transport', async t => {
  const addresses = ['a', 'b'].map(id => ({ id, incarnation: 1 }))
  const transport = new MemoryTransport(new SystemScheduler())
  const memberships = addresses.map(self => new Told(self, addresses))
  const [a, b] = (await Promise.all(
    memberships.map(membership =>
      Troupe.start({ name: membership.self.id, cluster: { transport, membership } }),
    ),
  )) as [Troupe, Troupe]
  await t.rejects(Troupe.start({ cluster: { transport, membership: memberships[0]! } }), {
    code: 'ERR_ADDRESS_TAKEN',
  })
  const seen: Terminated[] = []
  const watcher = await a.spawn(Watching, { name: 'watcher', args: seen })
  await b.spawn(Echo, { name: 'echo' })
  const echo = a.lookup(Echo, '/echo')
  for (let i = 0; i < 1_000; i++) echo.tell.note(i)
  t.equal((await echo.ask.seen()).length, 1_000)
  await watcher.ask.watch('/echo')
  const died = a.whenTerminated(echo)
  await b.close()
  t.match(await died, { path: '/echo', reason: { kind: 'stopped' } })
  memberships[0]!.tell({ kind: 'down', node: addresses[1]!, reason: 'left' })
  await a.close()
  t.match(seen, [{ path: '/echo', reason: { kind: 'stopped' } }])
  await t.rejects(echo.ask.nothing(), { code: 'ERR_CLOSED' })
})

t.test('Membership: a node that is alone is its only member; bad cluster options are named', async t => {
  const membership = new SingleNodeMembership({ id: 'solo', incarnation: 7 })
  t.same(membership.members(), [{ id: 'solo', incarnation: 7 }])
  membership.subscribe()()
  const transport = new MemoryTransport(new SystemScheduler())
  await t.rejects(Troupe.start({ cluster: { transport: {} as never, membership } }), {
    code: 'ERR_INVALID_OPTION',
    data: { option: 'cluster.transport' },
  })
  await t.rejects(Troupe.start({ cluster: { transport, membership, remoting: { holdMs: -1 } } }), {
    code: 'ERR_INVALID_OPTION',
    data: { option: 'holdMs' },
  })
  const troupe = await Troupe.start({ cluster: { transport, membership, remoting: { resolveGraceMs: 20 } } })
  await t.rejects(troupe.lookup(Echo, '/nobody').ask.nothing(), { code: 'ERR_ACTOR_NOT_FOUND' })
  await troupe.close()
})
