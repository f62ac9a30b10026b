import t from 'tap'
import { Oddity } from '../helpers/actors/oddity.js'
import { Rogue } from '../helpers/actors/rogue.js'
import { Subject } from '../helpers/actors/subject.js'
import { apart, show, view } from '../helpers/isolation.js'
import { stage, until } from '../helpers/runtime.js'

t.setTimeout(180_000)

apart(t, 'what ends by itself is a failed actor with a typed reason', async (t, isolation) => {
  const code = (what: string): string => `ERR_${isolation.toUpperCase()}_${what}`
  const limits = { resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 8 } }
  const staged = await show(t, isolation, limits)
  const { rogue } = staged

  await t.test('process.exit fails the ask under way; the actor restarts', async t => {
    await t.rejects(rogue.ask.exit(3), {
      code: 'ERR_ACTOR_FAILED',
      cause: { code: code('EXITED'), data: { path: '/rogue', exitCode: 3 } },
    })
    t.equal(await rogue.ask.count(), 1, 'a new one')
  })

  await t.test('an error outside any handler', async t => {
    for (const how of ['throwLater', 'rejectLater'] as const) {
      const before = view(staged)?.restarts ?? 0
      // the thread may be gone before it has answered
      await rogue.ask[how]('on the loose').catch(() => undefined)
      await until(() => view(staged)?.restarts === before + 1)
      t.match(view(staged)?.lastFailure, {
        code: code('FAILED'),
        cause: { message: 'on the loose' },
      })
      t.equal(await rogue.ask.count(), 1)
    }
  })

  await t.test('a memory limit', async t => {
    await t.rejects(rogue.ask.fillMemory(), {
      code: 'ERR_ACTOR_FAILED',
      cause: { code: code('LIMIT'), data: { path: '/rogue' } },
    })
    t.equal(await rogue.ask.count(), 1)
  })
})

apart(t, 'what blocks its event loop can be stopped, killed and watched', async (t, isolation) => {
  const staged = await show(t, isolation, { shutdownMs: 200 })
  const { clock, probe, rogue, spawn, troupe } = staged
  const watcher = await spawn({ name: 'w' }, { notes: false })
  await watcher.ask.watch(rogue)

  await t.test('a kill ends it at once', async t => {
    const spinning = t.rejects(rogue.ask.spin(), { code: 'ERR_ACTOR_FAILED', data: { reason: 'killed' } })
    await until(() => view(staged)?.mailbox.messages === 0)
    troupe.kill(rogue)
    await spinning
    t.equal(await rogue.ask.count(), 1)
    t.same(await probe.ask.take(), [], 'which is no death')
  })

  await t.test('code that blocks sees its signal abort', async t => {
    const spinning = rogue.ask.spinUntilAborted()
    await until(() => view(staged)?.mailbox.messages === 0)
    const stopping = troupe.stop(rogue)
    t.ok((await spinning) >= 0)
    await stopping
    t.same(await probe.ask.reach(1), ['w saw /rogue end: stopped'])
  })

  await t.test('one that does not heed it is ended after shutdownMs', async t => {
    const again = await troupe.spawn(Rogue, { name: 'again', isolation, shutdownMs: 200 })
    await watcher.ask.watch(again)
    const spinning = t.rejects(again.ask.spin(), { code: 'ERR_STOP_TIMEOUT', data: { shutdownMs: 200 } })
    const waiting = t.rejects(again.ask.count(), { code: 'ERR_ACTOR_STOPPED' })
    await until(() => troupe.runtime.find('/again')?.mailboxMessages === 1)
    const stopping = troupe.stop(again)
    await waiting
    await clock.advance(200)
    await Promise.all([spinning, stopping])
    t.same((await probe.ask.reach(2)).slice(1), ['w saw /again end: stopped'])
  })
})

apart(t, 'an error outside its hooks that ends it while it starts fails the start', async (t, isolation) => {
  const { spawn, troupe } = await stage(t)
  await t.rejects(spawn({ name: 'a', isolation }, { start: 'stray' }), {
    code: 'ERR_ACTOR_START',
    cause: {
      code: `ERR_${isolation.toUpperCase()}_FAILED`,
      cause: { message: 'onStart went astray' },
    },
  })
  t.equal(troupe.inspect().children.length, 1)
})

apart(t, 'it learns of its end while it starts, and many start at once', async (t, isolation) => {
  const { troupe, probe } = await stage(t)
  const args = { probe, notes: false }
  const options = (k: number) => ({ name: `s${k}`, isolation, args }) as const
  const spawning = [0, 1, 2].map(k => troupe.spawn(Subject, options(k)))
  const refused = t.rejects(spawning[1] as Promise<unknown>, { code: 'ERR_ACTOR_FAILED' })
  troupe.kill(troupe.lookup(Subject, '/s1'))
  await refused
  const [first, , third] = await Promise.all(spawning.map(spawn => spawn.catch(() => undefined)))
  t.equal(await first?.ask.count(), 0)
  t.equal(await third?.ask.count(), 0)
  t.equal(troupe.inspect().children.length, 3)
  await troupe.close()
  t.equal(troupe.inspect().children.length, 0)
})

apart(
  t,
  'what ends while nothing but a question of the runtime waits for it has failed',
  async (t, isolation) => {
    const { troupe } = await stage(t)
    const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
    const cell = troupe.runtime.find('/odd')
    await odd.ask.blockThenExit(50)
    await until(() => {
      void cell?.incarnation?.host?.caughtUp()
      return cell?.restarts === 1
    })
    t.match(cell?.lastFailure, {
      code: `ERR_${isolation.toUpperCase()}_EXITED`,
      data: { exitCode: 7 },
    })
  },
)
