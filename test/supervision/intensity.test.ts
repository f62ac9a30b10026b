import fc from 'fast-check'
import t from 'tap'
import type { ActorRef, SupervisionOptions } from 'troupe'
import { SeededRandom } from '../../src/determinism/index.js'
import { backoffMs } from '../../src/supervision/backoff.js'
import { compileSupervision } from '../../src/supervision/index.js'
import { RestartWindow } from '../../src/supervision/restart-window.js'
import { Subject } from '../helpers/actors/subject.js'
import { supervising } from '../helpers/actors/supervisors.js'
import { published, stage, until, type Stage } from '../helpers/runtime.js'

interface Pair extends Stage {
  readonly parent: ActorRef<Subject>
  readonly child: ActorRef<Subject>
  /** Restarts of the parent and of the child's cell that there is now. */
  readonly restarts: () => readonly [number | undefined, number | undefined]
}

/** A parent that supervises so, with one child. */
async function pair(t: Parameters<typeof stage>[0], supervision: SupervisionOptions): Promise<Pair> {
  const staged = await stage(t)
  const { troupe, probe } = staged
  const args = { probe, children: [{ name: 'a' }] }
  const parent = await troupe.spawn(supervising(supervision), { name: 'p', args })
  const child = troupe.lookup(Subject, '/p/a')
  const restarts = () => [troupe.runtime.find('/p')?.restarts, troupe.runtime.find('/p/a')?.restarts] as const
  await probe.ask.take()
  return { ...staged, parent, child, restarts }
}

t.test('more than maxRestarts within withinMs stop the children and fail the parent', async t => {
  const { child, probe, troupe, restarts } = await pair(t, { maxRestarts: 2, withinMs: 1_000 })
  for (const expected of [1, 2]) {
    child.tell.fail(`failure ${expected}`)
    t.equal(await child.ask.count(), 0)
    t.same(restarts(), [0, expected])
  }
  await probe.ask.take()
  child.tell.fail('failure 3')
  await until(() => restarts()[0] === 1)
  t.equal(await child.ask.count(), 0, 'the parent restarted, and its child with it')
  t.match(troupe.inspect().children[1]?.lastFailure, {
    code: 'ERR_RESTART_INTENSITY',
    data: { path: '/p/a', restarts: 3, maxRestarts: 2, withinMs: 1_000, reason: 'failed' },
    cause: { message: 'failure 3' },
  })
  const intensity = /a ended \(failed\) 3 times within 1000 ms.*2 restarts/
  t.match(await probe.ask.take(), ['a stops: stopped', intensity, intensity, 'a starts'])
  t.same(restarts(), [1, 0], 'with a window of its own')
})

t.test('failures that lie further apart are forgiven', async t => {
  const { child, clock, restarts } = await pair(t, { maxRestarts: 1, withinMs: 1_000 })
  for (let k = 1; k <= 5; k++) {
    child.tell.fail('now and then')
    t.equal(await child.ask.count(), 0)
    await clock.advance(1_000)
  }
  t.same(restarts(), [0, 5])
  child.tell.fail('one')
  await child.ask.count()
  await clock.advance(999)
  child.tell.fail('two')
  await until(() => restarts()[0] === 1)
})

t.test('with maxRestarts 0 the first failure is one too many', async t => {
  const { child, restarts } = await pair(t, { maxRestarts: 0 })
  child.tell.fail('once')
  await until(() => restarts()[0] === 1)
  t.equal(await child.ask.count(), 0)
})

t.test('the window is all children’s together', async t => {
  const { child, parent, restarts } = await pair(t, { maxRestarts: 1 })
  const other = await parent.ask.spawn('b')
  other.tell.fail('b')
  t.equal(await other.ask.count(), 0)
  child.tell.fail('a')
  await until(() => restarts()[0] === 1)
})

t.test('a new incarnation of a parent that had no children left starts with a new window', async t => {
  const { child, parent, troupe, restarts } = await pair(t, { maxRestarts: 1 })
  child.tell.fail('once')
  await child.ask.count()
  await parent.ask.stopChild('a')
  troupe.kill(parent)
  await parent.ask.childPaths()
  child.tell.fail('twice')
  t.equal(await child.ask.count(), 0)
  t.same(restarts(), [1, 1])
})

t.test('a kill counts; after progress it does not: preemption is no bug', async t => {
  for (const reason of [{ kind: 'killed' }, { kind: 'node-lost', node: 'n1' }] as const) {
    const { child, troupe, restarts } = await pair(t, { maxRestarts: 2 })
    const preempt = (): void => troupe.runtime.find('/p/a')?.kill(reason)
    for (let k = 1; k <= 10; k++) {
      await child.ask.progress()
      preempt()
      t.equal(await child.ask.count(), 0)
    }
    t.same(restarts(), [0, 10], `${reason.kind}: ten times with progress between`)
    preempt()
    await child.ask.count()
    preempt()
    await child.ask.count()
    t.same(restarts(), [0, 12])
    preempt()
    await until(() => restarts()[0] === 1)
    t.match(
      troupe.inspect().children[1]?.lastFailure,
      { code: 'ERR_RESTART_INTENSITY', data: { restarts: 3, reason: reason.kind } },
      `${reason.kind}: the third without is one too many`,
    )
  }
})

t.test('a blameless kill counts as no failure', async t => {
  const { child, troupe, restarts } = await pair(t, { maxRestarts: 1 })
  for (let k = 1; k <= 5; k++) {
    t.equal(troupe.kill(child, { blameless: true }), true)
    t.equal(await child.ask.count(), 0)
  }
  t.same(restarts(), [0, 5])
  t.equal(troupe.kill(troupe.lookup(Subject, '/p/nobody')), false)
})

t.test('a failure counts whatever progress there was', async t => {
  const { child, restarts } = await pair(t, { maxRestarts: 1 })
  await child.ask.progress()
  child.tell.fail('once')
  await child.ask.progress()
  child.tell.fail('twice')
  await until(() => restarts()[0] === 1)
})

t.test('unhandled at the root, the runtime fails and prints the whole causal chain', async t => {
  const said: string[] = []
  const quiet = (): void => undefined
  const log = { debug: quiet, info: quiet, warn: quiet, error: (text: string) => void said.push(text) }
  const { troupe, probe } = await stage(t, { log, supervision: { maxRestarts: 0 } })
  const args = { probe, children: [{ name: 'a' }] }
  const parent = await troupe.spawn(supervising({ maxRestarts: 0 }), { name: 'p', args })
  const pending = t.rejects(parent.ask.wait('never'), { code: 'ERR_ACTOR_FAILED' })
  await probe.ask.arrived('never')
  troupe.lookup(Subject, '/p/a').tell.fail('the very first cause')
  const reason = await troupe.closed
  t.match(reason, {
    kind: 'failed',
    cause: {
      code: 'ERR_RESTART_INTENSITY',
      data: { path: '/p' },
      cause: {
        code: 'ERR_RESTART_INTENSITY',
        data: { path: '/p/a' },
        cause: { message: 'the very first cause' },
      },
    },
  })
  await pending
  t.match(said, [
    /runtime 'stage-\d+' failed: ERR_RESTART_INTENSITY: \/p .*\n.*caused by ERR_RESTART_INTENSITY: \/p\/a .*\n.*caused by Error: the very first cause/,
  ])
  t.equal(troupe.inspect().children.length, 0, 'nothing runs any more')
  await t.rejects(troupe.spawn(Subject, { name: 'late', args: { probe } }), { code: 'ERR_CLOSED' })
})

t.test('restarts wait: the first none, then ever longer, by the virtual clock', async t => {
  const backoff = { baseMs: 100, factor: 2, maxMs: 300, jitter: 0 }
  const { child, clock, troupe, restarts } = await pair(t, { maxRestarts: 10, backoff })
  const restarting = published(t, 'troupe.actor.restarting', troupe)
  child.tell.fail('1')
  t.equal(await child.ask.count(), 0, 'at once')
  for (const [k, delayMs] of [100, 200, 300, 300].entries()) {
    child.tell.fail('again')
    child.tell.add(1)
    await clock.advance(delayMs - 1)
    t.match(troupe.inspect().children[1]?.children[0], { state: 'restarting', restarts: k + 1 })
    t.equal(troupe.inspect().children[1]?.children[0]?.mailbox.messages, 1, 'its mailbox is kept')
    await clock.advance(1)
    t.equal(await child.ask.count(), 1)
  }
  t.same(restarts(), [0, 5])
  t.match(
    restarting.map(({ path, delayMs, restarts }) => ({ path, delayMs, restarts })),
    [0, 100, 200, 300, 300].map((delayMs, k) => ({ path: '/p/a', delayMs, restarts: k + 1 })),
  )
})

t.test('an actor that is stopped while it waits for its restart is gone at once', async t => {
  const { child, clock, troupe } = await pair(t, { maxRestarts: 10, backoff: { baseMs: 60_000 } })
  child.tell.fail('1')
  await child.ask.count()
  child.tell.fail('2')
  const waiting = t.rejects(child.ask.count(), { code: 'ERR_ACTOR_STOPPED' })
  await until(() => troupe.runtime.find('/p/a')?.state === 'restarting')
  await troupe.stop(child)
  await waiting
  t.equal(troupe.runtime.find('/p/a'), undefined)
  await clock.advance(120_000)
  t.equal(troupe.runtime.find('/p/a'), undefined, 'and stays so')
})

t.test('a parent that ends takes a child that waits for its restart along', async t => {
  const { child, clock, parent, troupe } = await pair(t, { maxRestarts: 10, backoff: { baseMs: 60_000 } })
  child.tell.fail('1')
  await child.ask.count()
  child.tell.fail('2')
  await until(() => troupe.runtime.find('/p/a')?.state === 'restarting')
  await troupe.stop(parent)
  await clock.advance(120_000)
  t.equal(troupe.runtime.find('/p'), undefined)
})

t.test(
  'backoff: nothing, then base times factor to the k, spread by jitter, never beyond its maximum',
  async () => {
    fc.assert(
      fc.property(
        fc.record({
          baseMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
          factor: fc.double({ min: 1, max: 10, noNaN: true }),
          maxMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
          jitter: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.integer({ min: 1, max: 2_000 }),
        fc.nat(),
        (backoff, k, seed) => {
          const options = compileSupervision({ backoff }).backoff
          const delayMs = backoffMs(options, k, new SeededRandom(seed))
          if (k === 1 || backoff.baseMs === 0) return delayMs === 0
          const plain = Math.min(backoff.maxMs, backoff.baseMs * backoff.factor ** (k - 2))
          const spread = plain * backoff.jitter + 1e-6
          const again = backoffMs(options, k, new SeededRandom(seed))
          return delayMs >= 0 && Math.abs(delayMs - plain) <= spread && again === delayMs
        },
      ),
    )
  },
)

t.test('the window counts what lies within it, for any sequence of times', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 50 }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 200 }),
      (gaps, withinMs) => {
        const window = new RestartWindow(3, withinMs)
        const times: number[] = []
        let now = 0
        for (const gap of gaps) {
          now += gap
          times.push(now)
          const expected = times.filter(at => now - at < withinMs).length
          const count = window.count(now)
          if (count !== expected || window.exceeded(count) !== expected > 3) return false
        }
        return true
      },
    ),
  )
})
