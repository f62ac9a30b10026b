import t from 'tap'
import { SystemScheduler } from '../../src/determinism/index.js'
import { settle } from '../../src/simulation/index.js'
import { MemoryTransport } from '../../src/transport/memory.js'
import type { FrameReceiver, Lane, NodeAddress } from '../../src/transport/port.js'

const a = { id: 'a', incarnation: 1 }
const b = { id: 'b', incarnation: 1 }

function inbox() {
  const frames: { from: string; byte: number; lane: Lane }[] = []
  const writable: string[] = []
  const receiver: FrameReceiver = {
    frame: (from, frame, lane) =>
      void frames.push({ from: `${from.id}/${from.incarnation}`, byte: frame[0]!, lane }),
    writable: (to, lane) => void writable.push(`${to.id} ${lane}`),
  }
  return { frames, writable, receiver }
}

const bytes = (first: number, length = 1): Uint8Array => new Uint8Array(length).fill(first)

t.test('MemoryTransport: frames of one lane arrive in order, none before send returns', async t => {
  const transport = new MemoryTransport(new SystemScheduler())
  const at = inbox()
  const from = await transport.open(a, inbox().receiver)
  await transport.open(b, at.receiver)
  for (let i = 0; i < 1000; i++) t.ok(from.send(b, bytes(i % 250), i % 3 === 0 ? 'system' : 'data'))
  t.equal(at.frames.length, 0)
  await from.drain()
  const of = (lane: Lane): number[] => at.frames.filter(frame => frame.lane === lane).map(frame => frame.byte)
  const sent = Array.from({ length: 1000 }, (_, i) => i)
  t.same(
    of('data'),
    sent.filter(i => i % 3 !== 0).map(i => i % 250),
  )
  t.same(
    of('system'),
    sent.filter(i => i % 3 === 0).map(i => i % 250),
  )
  t.equal(at.frames[0]?.from, 'a/1')
})

t.test(
  'MemoryTransport: a full lane refuses by messages and by bytes, and says when it is writable',
  async t => {
    const transport = new MemoryTransport(new SystemScheduler(), { maxMessages: 3, maxBytes: 100 })
    const own = inbox()
    const from = await transport.open(a, own.receiver)
    const at = inbox()
    await transport.open(b, at.receiver)
    t.same(
      [1, 2, 3, 4].map(i => from.send(b, bytes(i), 'data')),
      [true, true, true, false],
    )
    t.equal(from.send(b, bytes(9), 'system'), true, 'the other lane is its own')
    await settle()
    t.same(own.writable, ['b data'])
    t.equal(from.send(b, bytes(5, 101), 'data'), true, 'a frame larger than the limit passes alone')
    t.equal(from.send(b, bytes(6), 'data'), false)
    await settle()
    t.same(
      at.frames.filter(frame => frame.lane === 'data').map(frame => frame.byte),
      [1, 2, 3, 5],
    )
  },
)

t.test('MemoryTransport: a frame is for one incarnation; to nobody it is lost in silence', async t => {
  const transport = new MemoryTransport(new SystemScheduler())
  const from = await transport.open(a, inbox().receiver)
  const at = inbox()
  const later: NodeAddress = { id: 'b', incarnation: 2 }
  await transport.open(later, at.receiver)
  t.ok(from.send(b, bytes(1), 'data'))
  t.ok(from.send({ id: 'nobody', incarnation: 1 }, bytes(1), 'data'))
  t.ok(from.send(later, bytes(2), 'data'))
  await from.drain()
  t.same(
    at.frames.map(frame => frame.byte),
    [2],
  )
})

t.test('MemoryTransport: broadcast reaches all but the sender; closing ends it, twice is once', async t => {
  const transport = new MemoryTransport(new SystemScheduler())
  const own = inbox()
  const from = await transport.open(a, own.receiver)
  await t.rejects(transport.open(a, own.receiver), { code: 'ERR_ADDRESS_TAKEN' })
  const [second, third] = [inbox(), inbox()]
  const endpoint = await transport.open(b, second.receiver)
  await transport.open({ id: 'c', incarnation: 4 }, third.receiver)
  from.broadcast(bytes(7))
  await settle()
  t.same([own.frames.length, second.frames.length, third.frames.length], [0, 1, 1])
  t.equal(second.frames[0]?.lane, 'system')

  from.send(b, bytes(8), 'data')
  await endpoint.close()
  await endpoint.close()
  await from.drain()
  t.equal(second.frames.length, 1, 'nothing is delivered to a closed endpoint')
  t.throws(() => endpoint.send(a, bytes(1), 'data'), { code: 'ERR_CLOSED' })
})

t.test('MemoryTransport: a receiver that answers within delivery neither loses nor reorders', async t => {
  const transport = new MemoryTransport(new SystemScheduler())
  const seen: number[] = []
  const ends: Record<string, { send(to: NodeAddress, frame: Uint8Array, lane: Lane): boolean }> = {}
  const echo = (self: string, other: NodeAddress): FrameReceiver => ({
    frame: (_, frame) => {
      if (self === 'a') seen.push(frame[0]!)
      if (frame[0]! < 200) ends[self]!.send(other, bytes(frame[0]! + 1), 'data')
    },
    writable: () => {},
  })
  ends['a'] = await transport.open(a, echo('a', b))
  ends['b'] = await transport.open(b, echo('b', a))
  ends['a'].send(b, bytes(0), 'data')
  await settle(3)
  t.same(
    seen,
    Array.from({ length: 100 }, (_, i) => 2 * i + 1),
  )
})
