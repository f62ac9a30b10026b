import fc from 'fast-check'
import t from 'tap'
import { Subject } from '../helpers/actors/subject.js'
import { onEach, stage, until } from '../helpers/runtime.js'

t.setTimeout(180_000)

const TEMPORARY = { restart: 'temporary' } as const

onEach(t, 'watching', async (t, isolation) => {
  const { troupe, probe, spawn } = await stage(t)
  const watcher = await spawn({ name: 'w', isolation }, { notes: false })
  const told = async (count: number): Promise<string[]> => {
    await probe.ask.reach(count)
    // whatever more there is has come by then
    await watcher.ask.count()
    return probe.ask.take()
  }

  await t.test('a death is told once, however often it was watched', async t => {
    const target = await spawn({ name: 't' }, { notes: false })
    await watcher.ask.watch(target)
    await watcher.ask.watch(target)
    await watcher.ask.watchPath('/t')
    await troupe.stop(target)
    t.same(await told(1), ['w saw /t end: stopped'])
  })

  await t.test('a restart in place is no death; giving up is', async t => {
    const target = await spawn({ name: 't' }, { notes: false })
    await watcher.ask.watch(target)
    target.tell.fail('once')
    troupe.kill(target)
    target.tell.fail('twice')
    t.equal(await target.ask.count(), 0)
    await watcher.ask.count()
    t.same(await probe.ask.take(), [])
    await troupe.stop(target)
    t.same(await told(1), ['w saw /t end: stopped'])
    const brief = await spawn({ name: 'brief', ...TEMPORARY }, { notes: false })
    await watcher.ask.watch(brief)
    brief.tell.fail('for good')
    t.same(await told(1), ['w saw /brief end: failed, for good'])
    const killed = await spawn({ name: 'killed', ...TEMPORARY }, { notes: false })
    await watcher.ask.watch(killed)
    troupe.kill(killed)
    t.same(await told(1), ['w saw /killed end: killed'])
  })

  await t.test('the death of an actor that is dead already is told once, with its reason', async t => {
    const target = await spawn({ name: 't', ...TEMPORARY }, { notes: false })
    await t.rejects(target.ask.fail('early'), { code: 'ERR_ACTOR_FAILED' })
    await until(() => troupe.inspect().children.every(child => child.path !== '/t'))
    await watcher.ask.watch(target)
    await watcher.ask.watchPath('/nobody')
    // a ref that has travelled is a path, and what has left the tree is not remembered
    t.same(await told(2), ['w saw /t end: never-existed', 'w saw /nobody end: never-existed'])
    t.match(await troupe.whenTerminated(target), {
      path: '/t',
      reason: { kind: 'failed', cause: { message: 'early' } },
    })
  })

  await t.test('an actor that has restarted once and is then stopped has died of the stop', async t => {
    const target = await spawn({ name: 't' }, { notes: false })
    target.tell.fail('before')
    await target.ask.count()
    await troupe.stop(target)
    t.match(await troupe.whenTerminated(target), { path: '/t', reason: { kind: 'stopped' } })
  })

  await t.test('unwatch ends it, also when the death is on its way', async t => {
    const target = await spawn({ name: 't' }, { notes: false })
    await watcher.ask.watch(target)
    await watcher.ask.unwatch(target)
    await watcher.ask.unwatch(target)
    await troupe.stop(target)
    await watcher.ask.spawn('child', { ...TEMPORARY, args: { notes: false } })
    await watcher.ask.killAndUnwatch('child')
    await until(() => troupe.inspect().children[1]?.children.length === 0)
    await watcher.ask.count()
    t.same(await probe.ask.take(), [])
  })

  await t.test('what is watched again is told again', async t => {
    for (const reason of ['stopped', 'killed'] as const) {
      const target = await spawn({ name: 't', ...TEMPORARY }, { notes: false })
      await watcher.ask.watch(target)
      await watcher.ask.unwatch(target)
      await watcher.ask.watch(target)
      if (reason === 'killed') troupe.kill(target)
      else await troupe.stop(target)
      t.same(await told(1), [`w saw /t end: ${reason}`])
    }
  })

  await t.test('a ref that is older than its actor watches it', async t => {
    await watcher.ask.watchPath('/late')
    t.same(await told(1), ['w saw /late end: never-existed'])
    const early = troupe.lookup(Subject, '/late')
    await spawn({ name: 'late' }, { notes: false })
    await watcher.ask.watch(early)
    await troupe.stop(early)
    t.same(await told(1), ['w saw /late end: stopped'])
  })

  await t.test('a new actor of the name is watched while the death of the old one is on its way', async t => {
    const first = await spawn({ name: 't' }, { notes: false })
    await watcher.ask.watch(first)
    watcher.tell.hold('busy')
    watcher.tell.watch(first)
    await probe.ask.arrived('busy')
    await troupe.stop(first)
    const second = await spawn({ name: 't' }, { notes: false })
    probe.tell.open('busy')
    t.same(await told(1), ['w saw /t end: stopped'])
    await troupe.stop(second)
    t.same(await told(1), ['w saw /t end: stopped'], 'the second one too, once')
  })

  await t.test('a watch ends with the incarnation', async t => {
    const target = await spawn({ name: 't' }, { notes: false })
    await watcher.ask.watch(target)
    watcher.tell.fail('now')
    await watcher.ask.count()
    await troupe.stop(target)
    await watcher.ask.count()
    t.same(await probe.ask.take(), [])
  })
})

onEach(
  t,
  'a death that waits in the mailbox when the watcher fails is not told to the next one',
  async (t, isolation) => {
    const { troupe, probe, spawn } = await stage(t)
    const watcher = await spawn({ name: 'w', isolation }, { notes: false })
    const target = await spawn({ name: 't' }, { notes: false })
    await watcher.ask.watch(target)
    const failing = t.rejects(watcher.ask.failAfter('gate'), { code: 'ERR_ACTOR_FAILED' })
    await probe.ask.arrived('gate')
    await troupe.stop(target)
    t.equal(troupe.inspect().children[1]?.mailbox.messages, 1)
    probe.tell.open('gate')
    await failing
    t.equal(await watcher.ask.count(), 0)
    t.same(await probe.ask.take(), [])
    t.equal(troupe.inspect().children[1]?.restarts, 1, 'nor does the old instance handle it')
  },
)

t.test('an isolated actor is watched as any other', async t => {
  const { troupe, probe, spawn } = await stage(t)
  const watcher = await spawn({ name: 'w' }, { notes: false })
  const target = await spawn({ name: 't', isolation: 'thread' }, { notes: false })
  const early = troupe.inspect().children[2]?.incarnation
  await watcher.ask.watch(target)
  target.tell.fail('once')
  await target.ask.count()
  t.same(await probe.ask.take(), [])
  const ended = troupe.whenTerminated(target)
  await troupe.stop(target)
  t.same(await probe.ask.reach(1), ['w saw /t end: stopped'])
  t.equal((await ended).incarnation > (early ?? 0), true)
})

onEach(t, 'a throw in onTerminated fails the watcher', async (t, isolation) => {
  const { troupe, probe, spawn } = await stage(t)
  for (const terminated of isolation === 'inline' ? (['throw', 'reject'] as const) : (['throw'] as const)) {
    const watcher = await spawn({ name: terminated, isolation }, { terminated })
    await watcher.ask.watchPath('/nobody')
    const text = `onTerminated ${terminated === 'throw' ? 'threw' : 'rejected'}`
    t.same(await probe.ask.reach(4), [
      `${terminated} starts`,
      `${terminated} saw /nobody end: never-existed`,
      `${terminated} stops: failed, ${text}`,
      `${terminated} restarts 1 after failed, ${text}`,
    ])
    await probe.ask.take()
  }
  t.equal(troupe.inspect().children[1]?.restarts, 1)
})

t.test(
  'of any sequence of lives, watches and unwatches, each watched death is told exactly once',
  async t => {
    const step = fc.constantFrom('spawn', 'stop', 'kill', 'fail', 'watch', 'watch early ref', 'unwatch')
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const { troupe, probe, spawn } = await stage(t)
        const watcher = await spawn({ name: 'w' }, { notes: false })
        const early = troupe.lookup(Subject, '/t')
        let latest = early
        let alive = false
        let watched = false
        let expected = 0
        const dies = (): void => {
          if (alive && watched) {
            expected++
            watched = false
          }
          alive = false
        }
        for (const name of steps) {
          if (name === 'spawn' && !alive) {
            latest = await spawn({ name: 't' }, { notes: false })
            alive = true
          } else if (name === 'stop') {
            await troupe.stop(latest)
            dies()
          } else if (name === 'kill' && alive) {
            // restarted: no death
            troupe.kill(latest)
          } else if (name === 'fail' && alive) {
            await latest.ask.fail('on purpose').catch(() => undefined)
          } else if (name.startsWith('watch')) {
            await watcher.ask.watch(name === 'watch' ? latest : early)
            if (alive) watched = true
            else expected++
          } else if (name === 'unwatch') {
            await watcher.ask.unwatch(latest)
            watched = false
          }
        }
        await watcher.ask.count()
        const told = await probe.ask.take()
        await troupe.close()
        if (told.length !== expected) {
          throw new Error(`${told.length} deaths were told, ${expected} watched: ${steps.join(', ')}`)
        }
      }),
      { numRuns: 300 },
    )
  },
)
