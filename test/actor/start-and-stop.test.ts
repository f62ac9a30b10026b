import t from 'tap'
import { Actor, actor } from 'troupe'
import { Subject } from '../helpers/actors/subject.js'
import { onEach, published, stage } from '../helpers/runtime.js'

t.setTimeout(180_000)

onEach(
  t,
  'stop during onStart: the spawn is told, onStop runs once the start is done',
  async (t, isolation) => {
    const { troupe, probe, spawn } = await stage(t)
    const spawning = spawn({ name: 'a', isolation }, { start: 'wait start' })
    const refused = t.rejects(spawning, { code: 'ERR_ACTOR_STOPPED' })
    await probe.ask.arrived('start')
    t.equal(troupe.inspect().children[1]?.state, 'starting')
    const subject = troupe.lookup(Subject, '/a')
    subject.tell.say('never')
    const stopping = troupe.stop(subject)
    t.equal(troupe.inspect().children[1]?.state, 'stopping')
    probe.tell.open('start')
    await stopping
    await refused
    t.same(await probe.ask.take(), ['a starts', 'a started', 'a stops: stopped'])
    t.equal(troupe.counters().deadLetters, 1)
  },
)

onEach(
  t,
  'a first start that fails leaves nothing, and its cause reaches the spawner',
  async (t, isolation) => {
    const { troupe, probe, spawn } = await stage(t)
    for (const [args, message] of [
      [{ construct: 'throw' }, 'constructor threw'],
      [{ start: 'throw' }, 'onStart threw'],
      [{ start: 'reject' }, 'onStart rejected'],
    ] as const) {
      await t.rejects(spawn({ name: 'a', isolation }, args), {
        code: 'ERR_ACTOR_START',
        data: { path: '/a', type: 'test-subject' },
        cause: { message },
      })
      t.equal(troupe.inspect().children.length, 1, 'nothing is left')
    }
    t.same(await probe.ask.take(), ['a starts', 'a starts'], 'without onStop, since it never ran')
    const { path } = await spawn({ name: 'a' })
    t.equal(path, '/a', 'the name is free')
  },
)

onEach(t, 'messages wait until onStart is done', async (t, isolation) => {
  const { troupe, probe, spawn } = await stage(t)
  const spawning = spawn({ name: 'a', isolation }, { start: 'wait start' })
  await probe.ask.arrived('start')
  const early = troupe.lookup(Subject, '/a')
  early.tell.add(3)
  const counted = early.ask.count()
  t.equal(troupe.inspect().children[1]?.mailbox.messages, 2)
  probe.tell.open('start')
  t.equal(await counted, 3)
  await spawning
})

onEach(t, 'a throw in onStop is reported, and the end goes on', async (t, isolation) => {
  const { troupe, spawn } = await stage(t)
  const suppressed = published(t, 'troupe.suppressed', troupe)
  for (const [stop, message] of [
    ['throw', 'onStop threw'],
    ['reject', 'onStop rejected'],
  ] as const) {
    await troupe.stop(await spawn({ name: stop, isolation }, { stop }))
    t.match(suppressed.at(-1), { path: `/${stop}`, error: { message } })
  }
  t.equal(troupe.counters().suppressedErrors, 2)
  t.equal(troupe.inspect().children.length, 1)
})

onEach(
  t,
  'a start that hangs and an onStop that hangs are given up after shutdownMs',
  async (t, isolation) => {
    const { troupe, clock, probe, spawn } = await stage(t)
    const suppressed = published(t, 'troupe.suppressed', troupe)
    const hanging = t.rejects(spawn({ name: 'start', isolation, shutdownMs: 300 }, { start: 'hang' }), {
      code: 'ERR_ACTOR_STOPPED',
    })
    await probe.ask.reach(1)
    await spawn({ name: 'stop', isolation, shutdownMs: 200 }, { stop: 'hang' })
    const stops = ['/start', '/stop'].map(path => troupe.stop(troupe.lookup(Subject, path)))
    await probe.ask.reach(3)
    await clock.advance(199)
    t.equal(troupe.inspect().children.length, 3)
    await clock.advance(1)
    t.equal(troupe.inspect().children.length, 2)
    await clock.advance(100)
    await Promise.all([...stops, hanging])
    t.match(
      suppressed.map(event => event['error']),
      [
        { code: 'ERR_STOP_TIMEOUT', data: { path: '/stop', shutdownMs: 200 } },
        { code: 'ERR_STOP_TIMEOUT', data: { path: '/start', shutdownMs: 300 } },
      ],
    )
  },
)

onEach(
  t,
  'the signal aborts when the end begins; a handler that outlasts shutdownMs is given up',
  async (t, isolation) => {
    const { troupe, clock, probe, spawn } = await stage(t)
    const subject = await spawn({ name: 'a', isolation, shutdownMs: 100 }, { notes: false })
    const running = t.rejects(subject.ask.stopsWhen('never'), { code: 'ERR_STOP_TIMEOUT' })
    await probe.ask.arrived('never')
    const stopping = troupe.stop(subject)
    t.same(await probe.ask.reach(1), ['a signal aborts'])
    await clock.advance(100)
    await stopping
    await running
  },
)

t.test('a name must be free, and made of [A-Za-z0-9_-]', async t => {
  const { troupe, spawn } = await stage(t)
  await spawn({ name: 'a' })
  await t.rejects(spawn({ name: 'a' }), {
    code: 'ERR_NAME_TAKEN',
    data: { path: '/a', state: 'running' },
  })
  for (const name of ['', '$a', 'a/b', 'a b', 'ä', 'x'.repeat(65), undefined as unknown as string]) {
    await t.rejects(spawn({ name }), { code: 'ERR_ACTOR_NAME', data: { name } }, name)
  }
  t.equal((await spawn({ name: 'x'.repeat(64) })).path.length, 65)
  t.equal(troupe.inspect().children.length, 3)
})

t.test('spawn options are checked: the error names the field, the value and what is accepted', async t => {
  const { spawn } = await stage(t)
  const bad: [object, string, RegExp][] = [
    [{ restart: 'always' }, 'restart', /"always".*permanent/],
    [{ significant: 1 }, 'significant', /got 1/],
    [{ shutdownMs: -1 }, 'shutdownMs', /got -1/],
    [{ shutdownMs: 2 ** 31 }, 'shutdownMs', /2147483648.*2147483647/],
    [{ leaseMs: Infinity }, 'leaseMs', /got Infinity/],
    [{ lifetime: 'forever' }, 'lifetime', /linked/],
    [{ isolation: 'server' }, 'isolation', /inline.*thread.*process/],
    [{ mailbox: { maxMessages: 0 } }, 'mailbox.maxMessages', /got 0/],
    [{ mailbox: { maxBytes: 1.5 } }, 'mailbox.maxBytes', /got 1.5/],
    [{ mailbox: { bytes: 1 } }, 'mailbox.bytes', /got 1/],
    [{ retries: 3 }, 'retries', /got 3/],
    [{ resourceLimits: 3 }, 'resourceLimits', /got 3/],
  ]
  for (const [options, option, message] of bad) {
    await t.rejects(spawn({ name: 'a', ...options }), {
      code: 'ERR_INVALID_OPTION',
      data: { option },
      message,
    })
  }
})

t.test('timers take 0 to 2^31 - 1 ms, and a period more than 0', async t => {
  const { spawn } = await stage(t)
  const subject = await spawn({ name: 'a' }, { notes: false })
  const refuses = (ask: Promise<unknown>, option: string): Promise<unknown> =>
    t.rejects(ask, { code: 'ERR_ACTOR_FAILED', cause: { code: 'ERR_INVALID_OPTION', data: { option } } })
  for (const ms of [-1, NaN, 2 ** 31, Infinity]) {
    await refuses(subject.ask.after(ms, 'never'), 'delayMs')
    await refuses(subject.ask.every(ms, 'never'), 'periodMs')
  }
  await refuses(subject.ask.every(0, 'never'), 'periodMs')
})

t.test('an actor that stops itself in onStart has run, however long its start and end take', async t => {
  const { troupe } = await stage(t)
  const soon = (): Promise<void> => Promise.resolve()
  for (const [k, [start, stop]] of [
    [undefined, undefined],
    [undefined, soon],
    [soon, undefined],
    [soon, soon],
  ].entries()) {
    class Brief extends Actor {
      override onStart(): void | Promise<void> {
        this.ctx.stopSelf()
        return start?.()
      }
    }
    if (stop !== undefined) Object.assign(Brief.prototype, { onStop: stop })
    actor(`test-brief-${k}`)(Brief)
    const brief = await troupe.spawn(Brief, { name: 'brief' })
    t.match(await troupe.whenTerminated(brief), { path: '/brief', reason: { kind: 'stopped' } })
  }
})
