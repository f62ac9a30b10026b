import t from 'tap'
import type { ActorRef, Directive } from 'troupe'
import { settle } from 'troupe/testing'
import { Subject } from '../helpers/actors/subject.js'
import { supervising } from '../helpers/actors/supervisors.js'
import { ABC, family, restarts } from '../helpers/family.js'
import { stage, until } from '../helpers/runtime.js'

t.test('a decider says what becomes of a child that failed', async t => {
  const asked: unknown[] = []
  const decide = (error: unknown, child: object): Directive => {
    asked.push({ message: (error as Error).message, ...child })
    return (error as Error).message as Directive
  }
  const staged = await family(t, supervising({ decide, maxRestarts: 10 }), ABC)
  const { parent, troupe } = staged
  const [a, b, c] = staged.children
  const fail = (child: ActorRef<Subject>, directive: Directive): void => {
    child.tell.add(1)
    child.tell.fail(directive)
    child.tell.add(1)
  }
  fail(a, 'restart')
  t.equal(await a.ask.count(), 1, 'restart: a new instance')
  fail(b, 'resume')
  t.equal(await b.ask.count(), 2, 'resume: the same instance goes on')
  t.same(restarts(staged), [1, 0, 0])
  fail(c, 'stop')
  await until(() => troupe.inspect().children[1]?.children.length === 2)
  t.same(await parent.ask.childPaths(), ['/p/a', '/p/b'], 'stop: it is gone')
  fail(a, 'escalate')
  await until(() => troupe.inspect().children[1]?.restarts === 1)
  t.match(
    troupe.inspect().children[1]?.lastFailure,
    { code: 'ERR_ACTOR_FAILED', data: { path: '/p/a' }, cause: { message: 'escalate' } },
    'escalate: the parent fails',
  )
  t.match(asked, [
    { message: 'restart', path: '/p/a', type: 'test-subject', restarts: 0 },
    { message: 'resume', path: '/p/b', restarts: 0 },
    { message: 'stop', path: '/p/c' },
    { message: 'escalate', path: '/p/a', restarts: 1 },
  ])
})

t.test(
  'a message that is still under way when its actor has failed does not cut short its onStop',
  async t => {
    const { troupe, probe } = await stage(t)
    const args = { probe, stop: 'wait stop', children: [{ name: 'a' }] }
    const parent = await troupe.spawn(supervising({ decide: () => 'escalate' }), { name: 'p', args })
    const running = t.rejects(parent.ask.hold('busy'), { code: 'ERR_ACTOR_FAILED' })
    await probe.ask.arrived('busy')
    troupe.lookup(Subject, '/p/a').tell.fail('now')
    await running
    await probe.ask.arrived('stop')
    probe.tell.open('busy')
    await settle(3)
    t.match(troupe.inspect().children[1], { state: 'restarting', restarts: 0 }, 'onStop is still under way')
    probe.tell.open('stop')
    await parent.ask.childPaths()
    t.equal(troupe.inspect().children[1]?.restarts, 1)
  },
)

t.test('a decider is not asked about kills; resume restarts what has no instance to go on with', async t => {
  const staged = await family(t, supervising({ decide: () => 'resume', maxRestarts: 10 }), [
    { name: 'a', args: { failRestarts: 1 } },
  ])
  const [a] = staged.children
  staged.troupe.kill(a)
  t.equal(await a.ask.count(), 0)
  t.same(restarts(staged), [2], 'the restart after the kill failed, and was not resumed')
})

t.test('a decider that throws, or decides nothing, fails its supervisor', async t => {
  const broken = [
    [
      () => {
        throw new Error('cannot decide')
      },
      { message: 'cannot decide' },
    ],
    [() => 'ignore' as Directive, { code: 'ERR_INVALID_OPTION', message: /restart, resume.*"ignore"/ }],
  ] as const
  for (const [decide, failure] of broken) {
    const staged = await family(t, supervising({ decide }), [{ name: 'a' }])
    const view = () => staged.troupe.inspect().children[1]
    await t.rejects(staged.children[0].ask.fail('now'), { code: 'ERR_ACTOR_FAILED' })
    await until(() => view()?.restarts === 1 && view()?.state === 'running')
    t.match(view()?.lastFailure, failure)
    t.equal(await staged.children[0].ask.count(), 0, 'and everything goes on')
  }
})

t.test('bad supervision options are refused at the first spawn of a child', async t => {
  for (const [supervision, option] of [
    [{ strategy: 'all-for-one' }, 'strategy'],
    [{ maxRestarts: -1 }, 'maxRestarts'],
    [{ withinMs: 0 }, 'withinMs'],
    [{ backoff: { jitter: 2 } }, 'backoff.jitter'],
    [{ backoff: { factor: 0.5 } }, 'backoff.factor'],
    [{ backoff: { maxMs: 2 ** 30 } }, 'backoff.maxMs'],
    [{ autoShutdown: 'some' }, 'autoShutdown'],
    [{ decide: 'restart' }, 'decide'],
    [{ intensity: 3 }, 'intensity'],
  ] as const) {
    const { troupe, probe } = await stage(t)
    const parent = await troupe.spawn(supervising(supervision as object), { name: 'p', args: { probe } })
    await t.rejects(
      parent.ask.spawn('a'),
      { cause: { code: 'ERR_INVALID_OPTION', data: { option } } },
      option,
    )
  }
})
