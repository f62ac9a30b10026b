import t from 'tap'
import { Actor, type ActorRef, type Directive, type StartCause, type SupervisionOptions } from 'troupe'
import { settle } from 'troupe/testing'
import { Subject } from '../helpers/actors/subject.js'
import { OneForAll, OneForOne, RestForOne, supervising } from '../helpers/actors/supervisors.js'
import { ABC, family, restarts } from '../helpers/family.js'
import { FORGIVING, onEach, stage, until } from '../helpers/runtime.js'

t.setTimeout(180_000)

onEach(t, 'one-for-one restarts the child that failed, alone', async (t, isolation) => {
  const staged = await family(t, OneForOne, ABC, isolation)
  const [a, b, c] = staged.children
  a.tell.add(1)
  c.tell.add(3)
  b.tell.fail('now')
  t.same(await Promise.all([a, b, c].map(child => child.ask.count())), [1, 0, 3])
  t.same(await staged.probe.ask.take(), ['b stops: failed, now', 'b restarts 1 after failed, now'])
  t.same(restarts(staged), [0, 1, 0])
})

onEach(t, 'one-for-all stops all in reverse order and starts all in order', async (t, isolation) => {
  const children = ABC.map((child, k) => (k === 2 ? { ...child, isolation } : child))
  const staged = await family(t, OneForAll, children, isolation)
  const [a, b, c] = staged.children
  a.tell.add(1)
  await a.ask.count()
  b.tell.fail('now')
  t.same(await Promise.all([a, b, c].map(child => child.ask.count())), [0, 0, 0])
  t.same(await staged.probe.ask.take(), [
    'c stops: stopped',
    'b stops: failed, now',
    'a stops: stopped',
    'a restarts 1 after stopped',
    'b restarts 1 after failed, now',
    'c restarts 1 after stopped',
  ])
  t.same(restarts(staged), [1, 1, 1])
})

onEach(t, 'rest-for-one restarts the child that failed and those started after it', async (t, isolation) => {
  const staged = await family(t, RestForOne, ABC, isolation)
  const [a, b, c] = staged.children
  a.tell.add(1)
  b.tell.fail('now')
  t.same(await Promise.all([a, b, c].map(child => child.ask.count())), [1, 0, 0])
  t.same(await staged.probe.ask.take(), [
    'c stops: stopped',
    'b stops: failed, now',
    'b restarts 1 after failed, now',
    'c restarts 1 after stopped',
  ])
  t.same(restarts(staged), [0, 1, 1])
})

t.test('in a group a child starts once the one before it has started', async t => {
  const children = [{ name: 'a', args: { restart: 'wait a' } }, { name: 'b' }] as const
  for (const failing of [0, 1] as const) {
    const staged = await family(t, OneForAll, children)
    const { probe } = staged
    staged.children[failing].tell.fail('now')
    await probe.ask.arrived('a')
    await settle(3)
    t.notOk(
      (await probe.ask.take()).some(note => note.startsWith('b restarts')),
      'b waits for a',
    )
    probe.tell.open('a')
    t.match(await probe.ask.reach(2), ['a started', /^b restarts 1/])
  }
})

t.test('in a group a child waits for the one before it also where the restart begins at once', async t => {
  const log: string[] = []
  let started = (): void => undefined
  const starting = new Promise<void>(resolve => (started = resolve))
  // without onStop and children there is nothing to wait for before the restart
  class First extends Actor {
    static readonly type: string = 'strategies-first'
    static readonly handles = ['fail']
    override onStart({ kind }: StartCause): void | Promise<void> {
      log.push(`${this.ctx.path} ${kind}`)
      if (kind === 'restarted' && this.ctx.path === '/first') return starting
    }
    fail(): void {
      throw new Error('now')
    }
  }
  class Second extends First {
    static override readonly type = 'strategies-second'
  }
  const { troupe } = await stage(t, { supervision: { ...FORGIVING, strategy: 'rest-for-one' } })
  const first = await troupe.spawn(First, { name: 'first' })
  await troupe.spawn(Second, { name: 'second' })
  first.tell.fail()
  await until(() => log.length === 3)
  await settle(3)
  t.same(log, ['/first spawned', '/second spawned', '/first restarted'])
  started()
  await until(() => log.length === 4)
  t.equal(log[3], '/second restarted')
})

t.test('in a group temporary children are stopped for good, and their watchers told', async t => {
  const staged = await family(t, OneForAll, [
    { name: 'a' },
    { name: 'b', restart: 'temporary' },
    { name: 'c' },
  ])
  const [a, b] = staged.children
  const ended = staged.troupe.whenTerminated(b)
  a.tell.fail('now')
  t.match(await ended, { path: '/p/b', reason: { kind: 'stopped' } })
  await staged.troupe.lookup(Subject, '/p/c').ask.count()
  t.same(await staged.parent.ask.childPaths(), ['/p/a', '/p/c'])
})

t.test('a group restart keeps the mailboxes, and lets a busy sibling end its message', async t => {
  const staged = await family(t, OneForAll, ABC)
  const { probe } = staged
  const [a, b] = staged.children
  const running = a.ask.hold('busy')
  a.tell.add(4)
  const counted = a.ask.count()
  await probe.ask.arrived('busy')
  b.tell.fail('now')
  await probe.ask.reach(2)
  t.same(await probe.ask.take(), ['c stops: stopped', 'b stops: failed, now'], 'a is waited for')
  probe.tell.open('busy')
  t.equal(await running, 'busy')
  t.equal(await counted, 4, 'what had waited is handled by the next incarnation')
})

t.test('a sibling that fails or is killed while its group restarts is not waited for any longer', async t => {
  for (const how of ['fails', 'is killed'] as const) {
    const staged = await family(t, OneForAll, ABC)
    const { clock, probe, troupe } = staged
    const [a, b, c] = staged.children
    const running = t.rejects(a.ask.failAfter('busy'), { code: 'ERR_ACTOR_FAILED' })
    await probe.ask.arrived('busy')
    b.tell.fail('now')
    await probe.ask.reach(2)
    // until it is a's turn to end
    await settle(3)
    if (how === 'fails') probe.tell.open('busy')
    else troupe.kill(a)
    await running
    t.equal(await c.ask.count(), 0, `${how}: the group is up again without the clock having moved`)
    t.equal(clock.monotonic(), 0)
    t.same(restarts(staged), [1, 1, 1], 'it was one restart')
  }
})

t.test('a child that fails again while its group starts has the group restarted again', async t => {
  const children = [{ name: 'a' }, { name: 'b', args: { failRestarts: 2 } }, { name: 'c' }]
  const staged = await family(t, OneForAll, children)
  const [a, b, c] = staged.children
  a.tell.fail('now')
  t.same(await Promise.all([a, b, c].map(child => child.ask.count())), [0, 0, 0])
  t.same(restarts(staged), [3, 3, 3])
})

t.test('a child whose failure another group restart has covered is not restarted again', async t => {
  const children = [{ name: 'a' }, { name: 'b' }, { name: 'c', args: { stop: 'wait c' } }] as const
  const staged = await family(t, RestForOne, children)
  const [a, b, c] = staged.children
  const fails = (child: ActorRef<Subject>): Promise<unknown> => t.rejects(child.ask.fail('now'))
  await fails(c)
  await staged.probe.ask.arrived('c')
  // both wait for their turn: a's takes b along
  await fails(a)
  await fails(b)
  staged.probe.tell.open('c')
  t.same(await Promise.all([a, b, c].map(child => child.ask.count())), [0, 0, 0])
  await settle(3)
  t.same(restarts(staged), [1, 1, 2])
})

t.test('a spawn that is under way while its group restarts resolves once the child runs', async t => {
  const staged = await family(t, OneForAll, [{ name: 'a' }])
  const { probe, parent } = staged
  const spawning = parent.ask.spawn('late', { args: { start: 'wait late' } })
  await probe.ask.arrived('late')
  staged.children[0].tell.fail('now')
  await until(() => staged.troupe.inspect().children[1]?.children[1]?.state === 'restarting')
  probe.tell.open('late')
  const late = await spawning
  t.equal(await late.ask.count(), 0)
  t.same(restarts(staged), [1, 1])
})

onEach(
  t,
  'permanent children always start again, transient ones unless they stop, failover ones when killed, temporary ones never',
  async (t, isolation) => {
    const kinds = ['permanent', 'transient', 'failover', 'temporary'] as const
    const ends = ['stops', 'fails', 'is killed'] as const
    const expected = {
      permanent: ends,
      transient: ['fails', 'is killed'],
      failover: ['is killed'],
      temporary: [],
    } as const
    const staged = await family(t, OneForOne, [])
    const { parent, troupe } = staged
    await Promise.all(
      kinds.map(async restart => {
        const lived: string[] = []
        const ref = troupe.lookup(Subject, `/p/${restart}`)
        const cell = () => troupe.runtime.find(ref.path)
        for (const end of ends) {
          // what ended for good is spawned again
          if (cell() === undefined) await parent.ask.spawn(restart, { restart, isolation })
          const before = cell()?.restarts ?? 0
          if (end === 'stops') await ref.ask.stopSelf()
          else if (end === 'fails') await ref.ask.fail('now').catch(() => undefined)
          else troupe.kill(ref)
          await until(
            () => cell() === undefined || (cell()?.restarts === before + 1 && cell()?.state === 'running'),
          )
          if (cell() !== undefined) lived.push(end)
        }
        t.same(lived, expected[restart], restart)
      }),
    )
  },
)

t.test('a group takes in leased children only once they are adopted', async t => {
  const { troupe, probe } = await stage(t)
  let gate: Promise<void> = Promise.resolve()
  let open = (): void => undefined
  const args = { probe, notes: false }
  class Adopter extends Actor {
    static readonly type = 'test-adopter'
    static readonly handles = ['fail']
    static readonly supervision: SupervisionOptions = { ...FORGIVING, strategy: 'one-for-all' }
    override async onStart(): Promise<void> {
      await this.ctx.spawn(Subject, { name: 'x', args })
      await gate
      await this.ctx.spawn(Subject, { name: 'a', lifetime: 'leased', args })
    }
    fail(): void {
      gate = new Promise(resolve => (open = resolve))
      throw new Error('told to')
    }
  }
  const parent = await troupe.spawn(Adopter, { name: 'p' })
  const [x, a] = [troupe.lookup(Subject, '/p/x'), troupe.lookup(Subject, '/p/a')]
  const restarted = () => ['x', 'a'].map(name => troupe.runtime.find(`/p/${name}`)?.restarts)
  const state = (path: string) => troupe.runtime.find(path)?.state
  await a.ask.add(1)

  await t.test('a group that restarts before that leaves them alone', async t => {
    parent.tell.fail()
    await until(() => state('/p') === 'starting' && state('/p/x') === 'running')
    await x.ask.fail('before the adoption').catch(() => undefined)
    t.equal(await x.ask.count(), 0)
    t.same(restarted(), [1, 0])
    t.equal(await a.ask.count(), 1, 'the same instance')
    open()
    await until(() => state('/p') === 'running')
  })

  await t.test('one that fails before that waits for its adoption', async t => {
    parent.tell.fail()
    await until(() => state('/p') === 'starting' && state('/p/x') === 'running')
    await a.ask.fail('unadopted').catch(() => undefined)
    await settle(3)
    t.equal(state('/p/a'), 'restarting')
    t.same(restarted(), [0, 0])
    open()
    t.equal(await a.ask.count(), 0)
    await until(() => state('/p') === 'running')
    t.same(restarted(), [1, 1], 'then it is one of the group')
  })
})

t.test('the end of a significant child for good ends its parent', async t => {
  for (const end of ['stopSelf', 'fail'] as const) {
    const restart = end === 'fail' ? 'temporary' : 'transient'
    const staged = await family(t, OneForOne, [{ name: 'a', significant: true, restart }, { name: 'b' }])
    const { troupe, parent } = staged
    const ended = troupe.whenTerminated(parent)
    void staged.children[0].ask[end]('now').catch(() => undefined)
    t.match(await ended, { path: '/p', reason: { kind: 'stopped' } }, end)
    t.match((await staged.probe.ask.take()).slice(-2), ['b stops: stopped', 'p stops: stopped'])
  }
})

t.test('a significant child that is restarted, or stopped by its parent, ends nobody', async t => {
  const staged = await family(t, OneForOne, [{ name: 'a', significant: true }])
  const { parent } = staged
  await t.rejects(staged.children[0].ask.fail('now'))
  t.equal(await staged.children[0].ask.count(), 0)
  await parent.ask.stopChild('a')
  await settle(3)
  t.same(await parent.ask.childPaths(), [])
})

t.test('with autoShutdown all, the last significant child ends its parent', async t => {
  const significant = { significant: true } as const
  const children = [{ name: 'a', ...significant }, { name: 'b', ...significant }, { name: 'c' }]
  const staged = await family(t, supervising({ autoShutdown: 'all' }), children)
  const { troupe, parent } = staged
  const ended = troupe.whenTerminated(parent)
  await staged.children[0].ask.stopSelf()
  await until(() => troupe.inspect().children[1]?.children.length === 2)
  t.same(await parent.ask.childPaths(), ['/p/b', '/p/c'])
  await staged.children[1].ask.stopSelf()
  t.match(await ended, { reason: { kind: 'stopped' } })
})

t.test('a significant actor of the top ends the runtime', async t => {
  const { troupe, spawn } = await stage(t)
  const main = await spawn({ name: 'main', significant: true })
  await main.ask.stopSelf()
  t.match(await troupe.closed, { kind: 'stopped' })
  await t.rejects(spawn({ name: 'late' }), { code: 'ERR_CLOSED' })
})

t.test('a parent that gave up on a child is restarted, also where its failures are resumed', async t => {
  const escalating = supervising({ decide: () => 'escalate' })
  const impatient = supervising({ maxRestarts: 0 })
  const undecided = supervising({ decide: () => 'ignore' as Directive })
  for (const type of [escalating, impatient, undecided]) {
    const { troupe, probe } = await stage(t, { supervision: { decide: () => 'resume', maxRestarts: 1 } })
    await troupe.spawn(type, { name: 'p', args: { probe, children: [{ name: 'a' }] } })
    const a = troupe.lookup(Subject, '/p/a')
    await t.rejects(a.ask.fail('now'), { code: 'ERR_ACTOR_FAILED' })
    const parent = () => troupe.inspect().children[1]
    await until(() => parent()?.restarts === 1 && parent()?.state === 'running')
    t.equal(await a.ask.count(), 0, 'the child is there again')
  }
})
