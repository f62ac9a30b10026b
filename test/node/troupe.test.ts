import { spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Troupe, type TroupeOptions } from 'troupe'
import { Subject } from '../helpers/actors/subject.js'
import { onEach, published, stage, until } from '../helpers/runtime.js'

t.setTimeout(180_000)

t.test('options are checked: the error names the field, the value and what is accepted', async t => {
  for (const [options, option, message] of [
    [{ name: 'no good' }, 'name', /"no good".*A-Za-z0-9/],
    [{ seed: -1 }, 'seed', /got -1/],
    [{ seed: 0.5 }, 'seed', /got 0.5/],
    [{ askTimeoutMs: 0 }, 'askTimeoutMs', /got 0/],
    [{ strictPayloads: 'yes' }, 'strictPayloads', /"yes"/],
    [{ supervision: { maxRestarts: -3 } }, 'supervision.maxRestarts', /got -3/],
    [{ supervision: null }, 'supervision', /got null/],
    [{ provide: {} }, 'provide', /got \{\}/],
    [{ provide: [7] }, 'provide.0', /got 7/],
    [{ supervision: { backoff: { jitter: -1 } } }, 'supervision.backoff.jitter', /got -1/],
    [{ provide: [{ token: Symbol('a') }] }, 'provide.0.value', /got undefined/],
    [{ provide: [{ value: 7 }] }, 'provide.0.token', /got undefined/],
    [{ log: {} }, 'log', /debug, info, warn, error/],
    [{ clock: {} }, 'clock', /now, monotonic, after/],
    [{ random: 4 }, 'random', /next, below, fork/],
    [{ scheduler: {} }, 'scheduler', /microtask, immediate/],
    [{ threads: 4 }, 'threads', /got 4/],
  ] as const) {
    await t.rejects(
      Troupe.start(options as unknown as TroupeOptions),
      { code: 'ERR_INVALID_OPTION', data: { option }, message },
      option,
    )
  }
})

onEach(
  t,
  'inspect shows the tree: path, class, incarnation, state, mailbox, restarts, failure',
  async (t, isolation) => {
    const { troupe, probe, spawn } = await stage(t)
    const spawning = spawn({ name: 'a', isolation }, { start: 'wait start', stop: 'wait stop' })
    await probe.ask.arrived('start')
    const view = () => troupe.inspect().children[1]
    t.match(troupe.inspect(), {
      path: '/',
      type: '$root',
      state: 'running',
      children: [{ path: '/probe', type: 'test-probe', state: 'running' }, { path: '/a' }],
    })
    t.match(view(), {
      type: 'test-subject',
      state: 'starting',
      restarts: 0,
      lastFailure: undefined,
      children: [],
    })
    probe.tell.open('start')
    const subject = await spawning
    const { incarnation = 0 } = view() ?? {}
    t.equal(view()?.state, 'running')
    await subject.ask.spawn('child')
    subject.tell.hold('busy')
    await probe.ask.arrived('busy')
    subject.tell.say('four')
    const { messages, bytes } = view()?.mailbox ?? { messages: 0, bytes: 0 }
    t.equal(messages, 1)
    // 2 a character inline, the length of its frame in front of a thread
    t.ok(isolation === 'inline' ? bytes === 8 : bytes > 8, `${bytes} bytes`)
    t.match(view()?.children, [{ path: '/a/child', state: 'running' }])
    probe.tell.open('busy')
    subject.tell.fail('now')
    await until(() => view()?.state === 'restarting')
    await probe.ask.arrived('stop')
    probe.tell.open('stop')
    await until(() => view()?.state === 'running')
    t.match(view(), { restarts: 1, children: [], lastFailure: { name: 'Error', message: 'now' } })
    t.ok((view()?.incarnation ?? 0) > incarnation)
    const plain: unknown = JSON.parse(JSON.stringify(troupe.inspect()))
    t.match(plain, { children: [{}, { path: '/a' }] }, 'plain data')
  },
)

t.test('state stopping shows while onStop runs', async t => {
  const { troupe, probe, spawn } = await stage(t)
  const subject = await spawn({ name: 'a' }, { stop: 'wait stop' })
  const stopping = troupe.stop(subject)
  await probe.ask.arrived('stop')
  t.equal(troupe.inspect().children[1]?.state, 'stopping')
  probe.tell.open('stop')
  await stopping
})

onEach(t, 'events are published on diagnostics_channel', async (t, isolation) => {
  const { troupe, spawn } = await stage(t)
  const seen = Object.fromEntries(
    ['started', 'failed', 'restarting', 'terminated'].map(name => [
      name,
      published(t, `troupe.actor.${name}`, troupe),
    ]),
  )
  const subject = await spawn({ name: 'a', isolation }, { notes: false })
  await subject.ask.fail('now').catch(() => undefined)
  await subject.ask.count()
  await troupe.stop(subject)
  const [first, second] = (seen['started'] ?? []).map(event => event['incarnation'] as number)
  t.ok(second !== undefined && first !== undefined && second > first)
  const runtime = troupe.runtime.name
  const reason = { kind: 'failed', cause: { message: 'now' } }
  t.match(seen, {
    started: [
      { runtime, path: '/a', incarnation: first, cause: { kind: 'spawned' } },
      { runtime, path: '/a', incarnation: second, cause: { kind: 'restarted', reason, restarts: 1 } },
    ],
    failed: [{ runtime, path: '/a', incarnation: first, cause: { message: 'now' } }],
    restarting: [{ runtime, path: '/a', incarnation: first, reason, delayMs: 0, restarts: 1 }],
    terminated: [{ runtime, path: '/a', reason: { kind: 'stopped' } }],
  })
})

t.test('counters are a copy, and start at nothing', async t => {
  const { troupe } = await stage(t)
  const before = troupe.counters()
  t.same(before, { deadLetters: 0, lateReplies: 0, rejectedTells: 0, suppressedErrors: 0 })
  troupe.lookup(Subject, '/nobody').tell.say('hello')
  t.equal(before.deadLetters, 0)
  t.equal(troupe.counters().deadLetters, 1)
})

t.test('close stops all in reverse order of their start, waits for them, and is final', async t => {
  const { troupe, probe, spawn } = await stage(t)
  const a = await spawn({ name: 'a' }, { children: [{ name: 'aa' }, { name: 'ab' }] })
  await spawn({ name: 'b' }, { stop: 'wait b' })
  await spawn({ name: 'c' })
  await probe.ask.take()
  const closing = troupe.close()
  t.equal(troupe.close(), closing, 'closing twice is closing once')
  await probe.ask.arrived('b')
  t.same(await probe.ask.take(), ['c stops: stopped', 'b stops: stopped'], 'a waits for b')
  await t.rejects(spawn({ name: 'late' }), { code: 'ERR_CLOSED', message: new RegExp(troupe.runtime.name) })
  const order: string[] = []
  const terminated = published(t, 'troupe.actor.terminated', troupe)
  probe.tell.open('b')
  await closing
  for (const { path } of terminated) order.push(path as string)
  t.same(order, ['/b', '/a/ab', '/a/aa', '/a', '/probe', '/'])
  t.match(await troupe.closed, { kind: 'stopped' })
  await t.rejects(a.ask.count(), { code: 'ERR_ACTOR_STOPPED' })
  const { deadLetters } = troupe.counters()
  a.tell.say('too late')
  t.equal(troupe.counters().deadLetters, deadLetters + 1)
})

t.test('await using closes', async t => {
  let kept: Troupe
  {
    await using troupe = await Troupe.start()
    kept = troupe
  }
  t.match(await kept.closed, { kind: 'stopped' })
})

t.test('stop, kill and whenTerminated of an actor that is not there do no harm', async t => {
  const { troupe } = await stage(t)
  const nobody = troupe.lookup(Subject, '/nobody')
  await troupe.stop(nobody)
  troupe.kill(nobody)
  t.match(await troupe.whenTerminated(nobody), {
    path: '/nobody',
    incarnation: 0,
    reason: { kind: 'never-existed' },
  })
})

t.test('runtimes of one process know nothing of each other', async t => {
  const [one, two] = [await stage(t), await stage(t)]
  const a = await one.spawn({ name: 'same' })
  const b = await two.spawn({ name: 'same' })
  a.tell.add(1)
  t.equal(await a.ask.count(), 1)
  t.equal(await b.ask.count(), 0)
  await one.troupe.close()
  t.equal(await b.ask.count(), 0)
})

onEach(t, 'ctx.random is a function of seed, path and incarnation', async (t, isolation) => {
  const draw = async (seed: number, name: string): Promise<readonly number[][]> => {
    const { troupe, spawn } = await stage(t, { seed })
    const subject = await spawn({ name, isolation }, { notes: false })
    const first = await subject.ask.random(3)
    const draws = [first]
    if (isolation === 'inline') {
      subject.tell.fail('again')
      draws.push(await subject.ask.random(3))
    }
    await troupe.close()
    return draws
  }
  const [once, again, seeded, named] = await Promise.all([
    draw(7, 'a'),
    draw(7, 'a'),
    draw(8, 'a'),
    draw(7, 'b'),
  ])
  t.same(again, once)
  t.notSame(seeded, once)
  t.notSame(named, once)
  if (isolation === 'inline') t.notSame(once[0], once[1])
})

onEach(t, 'ctx.fence grows with each incarnation', async (t, isolation) => {
  const { spawn } = await stage(t)
  const subject = await spawn({ name: 'a', isolation }, { notes: false })
  const first = await subject.ask.fence()
  subject.tell.fail('now')
  const second = await subject.ask.fence()
  t.equal(first.path, '/a')
  t.ok(second.incarnation > first.incarnation)
})

/** Runs a program in a process of its own; its code and what it said. */
async function runProgram(name: string): Promise<{ code: unknown; out: string; err: string }> {
  const program = fileURLToPath(new URL(`../fixtures/programs/${name}.ts`, import.meta.url))
  const child = spawnProcess(
    process.execPath,
    ['--conditions=troupe-source', '--import', import.meta.resolve('tsx'), program],
    // a test runner's loaders are not the program's
    { env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [unknown]
  return { code, out, err }
}

t.test('a runtime with nothing to do keeps no process alive, closed or not', async t => {
  t.match(await runProgram('idle'), { code: 0, out: '42\n', err: '' })
})

t.test(
  'a runtime that fails tells the causal chain on stderr, and leaves the process to its host',
  async t => {
    const { code, out, err } = await runProgram('failing')
    t.equal(code, 0)
    t.equal(out, 'failed\nthe host goes on\n')
    t.match(err, /runtime 'troupe' failed: ERR_RESTART_INTENSITY: \/worker .*\n {2}caused by Error: no disk/)
  },
)
