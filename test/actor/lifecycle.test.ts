import t from 'tap'
import type { ActorRef, SpawnOptions, SupervisionOptions } from 'troupe'
import { settle } from 'troupe/testing'
import { Oddity } from '../helpers/actors/oddity.js'
import { leftovers, Subject } from '../helpers/actors/subject.js'
import { supervising } from '../helpers/actors/supervisors.js'
import { onBoth, published, stage, until, type Stage } from '../helpers/runtime.js'

t.setTimeout(180_000)

onBoth(t, 'life of an actor', async (t, isolation) => {
  const { troupe, clock, probe, spawn } = await stage(t)
  const subject = await spawn({ name: 'a', isolation })
  const state = () => troupe.inspect().children[1]
  t.same(await probe.ask.take(), ['a starts'])

  await t.test(
    'a throw in a handler drops that message, keeps the rest, and starts a new instance',
    async t => {
      subject.tell.add(5)
      subject.tell.fail('one')
      subject.tell.say('kept')
      subject.tell.add(1)
      t.equal(await subject.ask.count(), 1, 'the new instance knows nothing of the old one')
      t.same(await probe.ask.take(), ['a stops: failed, one', 'a restarts 1 after failed, one', 'a kept'])
      t.match(state(), { restarts: 1, state: 'running', lastFailure: { message: 'one' } })
    },
  )

  await t.test('so does one in an async handler', async t => {
    subject.tell.failLater('two')
    t.equal(await subject.ask.count(), 0)
    t.same(await probe.ask.take(), ['a stops: failed, two', 'a restarts 2 after failed, two'])
  })

  await t.test('timers fire as messages, at their time, until they are cancelled', async t => {
    await subject.ask.after(20, 'later')
    await subject.ask.after(10, 'sooner')
    await subject.ask.every(15, 'tick')
    await subject.ask.cancelled(5)
    await clock.advance(9)
    await subject.ask.count()
    t.same(await probe.ask.take(), [])
    await clock.advance(6)
    t.same(await probe.ask.reach(2), ['a sooner', 'a tick 1'])
    await clock.advance(15)
    t.same(await probe.ask.reach(4), ['a sooner', 'a tick 1', 'a later', 'a tick 2'])
    await clock.advance(100)
    t.same((await probe.ask.reach(5)).slice(4), ['a tick 3'], 'cancelled in its third turn')
    await probe.ask.take()
  })

  await t.test('a turn of a timer is left out while the one before still waits', async t => {
    await subject.ask.every(10, 'slow', 'turn')
    await clock.advance(10)
    await probe.ask.arrived('turn')
    await clock.advance(50)
    probe.tell.open('turn')
    t.same(await probe.ask.reach(2), ['a slow 1', 'a slow 2'])
    await subject.ask.count()
    t.equal((await probe.ask.take()).length, 2, 'five turns fell due, one waited')
    await clock.advance(10)
    await probe.ask.reach(1)
    await probe.ask.take()
  })

  await t.test('timers die with the incarnation', async t => {
    await subject.ask.after(10, 'from the dead')
    await subject.ask.every(10, 'from the dead too')
    subject.tell.fail('three')
    await subject.ask.count()
    await clock.advance(50)
    await subject.ask.count()
    t.same(await probe.ask.take(), ['a stops: failed, three', 'a restarts 3 after failed, three'])
  })

  await t.test('a throw in a timer fails the actor, sync or async', async t => {
    for (const sync of [true, false]) {
      await subject.ask.failingTimer(10, sync)
      await clock.advance(10)
      await probe.ask.reach(2)
      const text = sync ? 'timer threw' : 'timer rejected'
      t.match(await probe.ask.take(), [
        `a stops: failed, ${text}`,
        RegExp(`a restarts . after failed, ${text}`),
      ])
    }
  })

  await t.test(
    'pipeToSelf handles value and error as messages; without onError it fails the actor',
    async t => {
      for (const [outcome, note] of [
        ['value', 'a got piped'],
        ['error', 'a got piped work failed'],
      ] as const) {
        await subject.ask.pipe(`pipe ${outcome}`, outcome)
        probe.tell.open(`pipe ${outcome}`)
        t.same(await probe.ask.reach(1), [note])
        await probe.ask.take()
      }
      for (const [outcome, text] of [
        ['throw', 'onValue threw'],
        ['unhandled', 'piped work failed'],
      ] as const) {
        await subject.ask.pipe(`pipe ${outcome}`, outcome)
        probe.tell.open(`pipe ${outcome}`)
        t.match(await probe.ask.reach(2), [`a stops: failed, ${text}`, /a restarts/])
        await probe.ask.take()
      }
    },
  )

  await t.test('interject runs between messages, never within one', async t => {
    await subject.ask.interjectAt('idle', false)
    probe.tell.open('idle')
    t.same(await probe.ask.reach(1), ['a interjects'])
    await probe.ask.take()
    const busy = subject.ask.interjected('busy')
    await probe.ask.arrived('busy')
    t.same(await probe.ask.take(), [])
    probe.tell.open('busy')
    await busy
    t.same(await probe.ask.reach(2), ['a ends the message', 'a interjects'])
    await probe.ask.take()
  })

  await t.test('a throw in what is interjected fails the actor', async t => {
    await subject.ask.interjectAt('throw', true)
    probe.tell.open('throw')
    t.match(await probe.ask.reach(2), [
      'a stops: failed, interjection threw',
      /a restarts . after failed, interjection threw/,
    ])
    await probe.ask.take()
  })

  await t.test('a kill runs no hook; its restart is told so', async t => {
    troupe.kill(subject)
    t.equal(await subject.ask.count(), 0)
    t.match(await probe.ask.take(), [/^a restarts \d after killed$/])
  })

  await t.test('stop lets the message under way end, then runs onStop; nothing follows', async t => {
    const running = subject.ask.wait('end')
    await probe.ask.arrived('end')
    const stopping = troupe.stop(subject)
    t.equal(state()?.state, 'stopping')
    probe.tell.open('end')
    await running
    await stopping
    t.same(await probe.ask.take(), ['a passed end', 'a stops: stopped'])
    t.equal(troupe.inspect().children.length, 1, 'its name is free')
    await troupe.stop(subject)
  })
})

onBoth(t, 'an old instance that wakes from an await has no effect', async (t, isolation) => {
  const { probe, spawn } = await stage(t)
  const subject = await spawn({ name: 'a', isolation })
  await subject.ask.linger('wake')
  subject.tell.fail('now')
  t.equal(await subject.ask.count(), 0)
  const before = await probe.ask.take()
  t.equal(before.at(-1), 'a restarts 1 after failed, now')
  probe.tell.open('wake')
  t.equal(await subject.ask.count(), 0)
  t.same(await subject.ask.childPaths(), [])
  if (isolation === 'inline') {
    await until(() => leftovers.length === 10)
    t.same(
      leftovers.map(text => text.split(': ')[1]),
      leftovers.map(() => 'ERR_STALE_INCARNATION'),
    )
  }
  t.same(await probe.ask.take(), [])
})

t.test('a message that an incarnation was busy with when it was killed ends nothing later', async t => {
  for (const how of ['hold', 'failAfter'] as const) {
    const { troupe, probe, spawn } = await stage(t)
    const subject = await spawn({ name: 'a' }, { notes: false })
    const asked: Promise<unknown> = subject.ask[how]('old')
    const old = t.rejects(asked, { code: 'ERR_ACTOR_FAILED' })
    await probe.ask.arrived('old')
    troupe.kill(subject)
    await old
    const running = subject.ask.hold('new')
    subject.tell.say('second')
    await probe.ask.arrived('new')
    probe.tell.open('old')
    await settle(3)
    t.match(troupe.inspect().children[1], { restarts: 1, mailbox: { messages: 1 } })
    t.same(await probe.ask.take(), [], 'the next incarnation is still busy with its own message')
    probe.tell.open('new')
    t.equal(await running, 'new')
  }
})

onBoth(t, 'linked children stop before their parent restarts, and in reverse order', async (t, isolation) => {
  const { troupe, probe, spawn } = await stage(t)
  const parent = await spawn(
    { name: 'p', isolation },
    { children: [{ name: 'a' }, { name: 'b', args: { children: [{ name: 'bb' }] } }, { name: 'c' }] },
  )
  t.same(await probe.ask.take(), ['p starts', 'a starts', 'b starts', 'bb starts', 'c starts'])
  t.same(await parent.ask.childPaths(), ['/p/a', '/p/b', '/p/c'])
  const ends = (reason: string) => [
    'c stops: stopped',
    'bb stops: stopped',
    'b stops: stopped',
    'a stops: stopped',
    `p stops: ${reason}`,
  ]
  parent.tell.fail('now')
  t.same(await parent.ask.childPaths(), ['/p/a', '/p/b', '/p/c'], 'the new incarnation spawned its own')
  t.same(await probe.ask.take(), [
    ...ends('failed, now'),
    'p restarts 1 after failed, now',
    'a starts',
    'b starts',
    'bb starts',
    'c starts',
  ])
  await troupe.stop(parent)
  t.same(await probe.ask.take(), ends('stopped'))
})

onBoth(
  t,
  'leased children outlive their parent and are adopted, or stopped when the window passes',
  async (t, isolation) => {
    const { troupe, clock, probe, spawn } = await stage(t)
    const parent = await spawn({ name: 'p', isolation })
    const leased = { lifetime: 'leased', leaseMs: 1_000 } as const
    const a = await parent.ask.spawn('a', leased)
    const b = await parent.ask.spawn('b', leased)
    a.tell.add(1)
    b.tell.add(2)
    await b.ask.count()
    await probe.ask.take()
    parent.tell.fail('now')
    const adopted = await parent.ask.spawn('a', leased)
    t.equal(await adopted.ask.count(), 1, 'it kept its state')
    t.same(await probe.ask.take(), ['p stops: failed, now', 'p restarts 1 after failed, now'])
    await clock.advance(999)
    t.equal(await b.ask.count(), 2, 'not adopted, within its window')
    await clock.advance(1)
    await until(() => troupe.inspect().children[1]?.children.length === 1)
    t.same(await probe.ask.take(), ['b stops: stopped'])
    await t.rejects(b.ask.count(), { code: 'ERR_ACTOR_STOPPED' })
    await clock.advance(5_000)
    t.equal(await adopted.ask.count(), 1, 'the adopted one lives on')
    await troupe.stop(parent)
    t.same(await probe.ask.take(), ['a stops: stopped', 'p stops: stopped'], 'for good means for all')
  },
)

t.test(
  'a leased child that failed between two incarnations is restarted by the one that adopts it',
  async t => {
    const { troupe, probe, spawn } = await stage(t)
    const leased = { name: 'a', lifetime: 'leased' } as const
    const parent = await spawn({ name: 'p' }, { stop: 'wait end', children: [leased] })
    await probe.ask.take()
    parent.tell.fail('now')
    await probe.ask.arrived('end')
    const child = troupe.lookup(Subject, '/p/a')
    await t.rejects(child.ask.fail('alone'), { code: 'ERR_ACTOR_FAILED' })
    t.equal(troupe.inspect().children[1]?.children[0]?.state, 'restarting')
    const waiting = child.ask.count()
    probe.tell.open('end')
    t.equal(await waiting, 0)
    t.same(await probe.ask.take(), [
      'p stops: failed, now',
      'p restarts 1 after failed, now',
      'a stops: failed, alone',
      'a restarts 1 after failed, alone',
    ])
  },
)

t.test('a leased child that is being stopped is not adopted', async t => {
  const { troupe, probe, spawn } = await stage(t)
  const parent = await spawn({ name: 'p' })
  const leased = { lifetime: 'leased' } as const
  const child = await parent.ask.spawn('a', { ...leased, args: { stop: 'wait end' } })
  parent.tell.fail('now')
  await parent.ask.count()
  const stopping = troupe.stop(child)
  await probe.ask.arrived('end')
  await t.rejects(parent.ask.spawn('a', leased), {
    cause: { code: 'ERR_NAME_TAKEN', data: { path: '/p/a', state: 'stopping' } },
  })
  probe.tell.open('end')
  await stopping
  t.equal((await parent.ask.spawn('a', leased)).path, '/p/a')
})

t.test('a leased child whose restart its parent did not live to see is restarted by the next', async t => {
  const a = { name: 'a', lifetime: 'leased' } as const
  const restarted = async (
    supervision: SupervisionOptions,
    children: readonly SpawnOptions[],
    fail: (staged: Stage, parent: ActorRef<Subject>, child: ActorRef<Subject>) => Promise<void>,
  ): Promise<void> => {
    const staged = await stage(t)
    const { troupe, clock, probe } = staged
    const type = supervising({ maxRestarts: 10, ...supervision })
    const parent = await troupe.spawn(type, { name: 'p', args: { probe, children } })
    await fail(staged, parent, troupe.lookup(Subject, '/p/a'))
    const view = () => troupe.inspect().children[1]
    await until(() => view()?.restarts === 1 && view()?.state === 'running')
    await clock.advance(60_000)
    for (const child of view()?.children ?? []) {
      t.equal(await troupe.lookup(Subject, child.path).ask.count(), 0, child.path)
    }
    t.equal(view()?.children.length, children.length)
  }

  await t.test('while it waited', () =>
    restarted({ backoff: { baseMs: 100 } }, [a], async ({ troupe }, parent, child) => {
      child.tell.fail('one')
      await child.ask.fail('two').catch(() => undefined)
      t.equal(troupe.runtime.find(child.path)?.state, 'restarting')
      parent.tell.fail('now')
    }),
  )
  await t.test('when it was one too many', () =>
    restarted({ maxRestarts: 0 }, [a], async (_, _parent, child) => {
      await child.ask.fail('now').catch(() => undefined)
    }),
  )
  await t.test('in a group that was being stopped', () => {
    const slow = { ...a, name: 'b', args: { stop: 'wait end' } } as const
    return restarted({ strategy: 'one-for-all' }, [a, slow], async ({ probe }, parent, child) => {
      await child.ask.fail('now').catch(() => undefined)
      await probe.ask.arrived('end')
      parent.tell.fail('now')
      probe.tell.open('end')
    })
  })
})

onBoth(
  t,
  'stopSelf ends the actor after the message under way, which its asker is answered',
  async (t, isolation) => {
    const { troupe, probe, spawn } = await stage(t)
    const subject = await spawn({ name: 'a', isolation })
    const gone = troupe.whenTerminated(subject)
    await subject.ask.stopSelf()
    t.match(await gone, { path: '/a', reason: { kind: 'stopped' } })
    t.same(await probe.ask.take(), ['a starts', 'a stops: stopped'])
  },
)

onBoth(t, 'a child that has ended already can be stopped: it is gone', async (t, isolation) => {
  const { troupe } = await stage(t)
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
  t.equal(await odd.ask.stopTwice(), 0)
})

onBoth(t, 'so it can be killed: killing what is gone does nothing', async (t, isolation) => {
  const { troupe } = await stage(t)
  const suppressed = published(t, 'troupe.suppressed', troupe)
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
  // in a thread the refusal comes too late to be thrown
  t.equal(await odd.ask.killTwice(), isolation === 'inline' ? 'ERR_ACTOR_NOT_FOUND' : 'killed itself')
  t.equal(await odd.ask.childCount(), 0)
  t.match(suppressed, isolation === 'inline' ? [] : [{ error: { code: 'ERR_ACTOR_NOT_FOUND' } }])
  t.equal(suppressed.length, isolation === 'inline' ? 0 : 1, 'only who is no child is refused')
})

t.test('an actor that ends can start no children and set no timers', async t => {
  const { troupe, clock, probe, spawn } = await stage(t)
  const subject = await spawn({ name: 'a' }, { stop: 'act' })
  await troupe.stop(subject)
  // beyond the timeouts of the asks above
  await clock.advance(10_000)
  t.equal(clock.pending, 0)
  t.same(await probe.ask.take(), ['a starts', 'a stops: stopped', 'a spawning in onStop: ERR_ACTOR_STOPPED'])
  const again = await spawn({ name: 'a' }, { stop: 'act' })
  again.tell.fail('now')
  await again.ask.count()
  await clock.advance(1_000)
  t.equal((await probe.ask.take()).includes('a timer of the dead'), false, 'nor in the next incarnation')
})
