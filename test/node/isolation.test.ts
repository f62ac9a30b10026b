import t, { type Test } from 'tap'
import { settle } from 'troupe/testing'
import { Actor, actor, TensorData, type ActorClass, type Isolation } from 'troupe'
import { Holder } from '../helpers/actors/holder.js'
import { Oddity } from '../helpers/actors/oddity.js'
import { apart, show, view } from '../helpers/isolation.js'
import { stage, until } from '../helpers/runtime.js'

t.setTimeout(180_000)

apart(t, 'an actor written in TypeScript runs on its own', async (t, isolation) => {
  const { rogue, said } = await show(t, isolation)
  t.equal((await rogue.ask.pid()) === process.pid, isolation === 'thread')
  t.match(await rogue.ask.where(), /rogue\.ts$/)
  t.equal(await rogue.ask.count(), 1)
  await rogue.ask.log('hello')
  t.same(said, [{ level: 'info', text: 'hello', fields: { path: '/rogue' } }], 'its words reach the log')
})

apart(t, 'tensors travel there and back', async (t, isolation) => {
  const { rogue } = await show(t, isolation)
  for (const size of [3, 20_000, 1_000_000, 5_000_000]) {
    const values = Float32Array.from({ length: size }, (_, i) => i / 2)
    const doubled = await rogue.ask.double(TensorData.of('float32', values, [size, 1]))
    t.same(doubled.shape, [size, 1])
    t.ok(
      doubled.view().every((value, i) => value === i),
      `${size} values`,
    )
    t.equal(values[size - 1], (size - 1) / 2, 'the sender keeps its own')
  }
})

for (const isolation of ['inline', 'thread'] as const) {
  void t.test(`memory that is shared stays shared in messages, replies and arguments (${isolation})`, t =>
    sharing(t, isolation),
  )
}

async function sharing(t: Test, isolation: Isolation): Promise<void> {
  const { troupe } = await stage(t)
  const versions = new Int32Array(new SharedArrayBuffer(8), 4, 1)
  const spawn = (name: string) => troupe.spawn(Holder, { name, isolation, args: { versions } })
  const [holder, other] = await Promise.all([spawn('a'), spawn('b')])
  const region = new Float32Array(new SharedArrayBuffer(16))
  const memory = await holder.ask.attach(0, region.buffer)
  const weights = new Float32Array(memory, 64, 4)
  region.set([1, 2, 3, 4])
  t.equal(await holder.ask.step(), 1)
  t.same(weights, [-1, -2, -3, -4], 'gradients and weights are read where they are')
  t.equal(versions[0], 1, 'also what came with the arguments of its spawn')
  weights[0] = 10
  region.set([1, 1, 1, 1])
  await holder.ask.step()
  const tensor = await holder.ask.weights()
  t.same(
    [tensor.shape, tensor.view()],
    [
      [2, 2],
      [9, -3, -4, -5],
    ],
  )
  t.same(weights, tensor.view())
  tensor.view()[3] = 0
  t.equal(weights[3], 0, 'a tensor on shared memory is no copy')
  const grown = await holder.ask.grow()
  t.equal(grown.byteLength, 2 * 65_536)
  t.equal(new Float32Array(grown.buffer, 64, 1)[0], 9, 'a memory that has grown is the same memory')
  t.ok(await holder.ask.lend(other), 'it goes on from actor to actor')
  t.equal(await other.ask.step(), 3)
  t.same(
    [...(await other.ask.weights()).view()].slice(0, 2),
    [0, 0],
    'of what lies at the start of the other memory',
  )
  await t.rejects(holder.ask.throwWith(), { code: 'ERR_ACTOR_FAILED', cause: { message: 'with memory' } })
}

t.test('memory that is shared is refused by name where it would leave the process', async t => {
  const { troupe } = await stage(t)
  const refused = (path: string) => ({ code: 'ERR_SHARED_MEMORY', data: { path } })
  const shared = new Int32Array(new SharedArrayBuffer(8))
  const options = { name: 'holder', isolation: 'process' } as const
  await t.rejects(troupe.spawn(Holder, { ...options, args: { versions: shared } }), {
    code: 'ERR_ACTOR_START',
    cause: refused('args[0].versions'),
  })
  const holder = await troupe.spawn(Holder, { ...options, args: { versions: new Int32Array(2) } })
  await t.rejects(holder.ask.attach(0, shared.buffer), refused('args[1]'))
  await t.rejects(holder.ask.weights(), { code: 'ERR_ACTOR_FAILED', cause: refused('args[0]') }, 'in a reply')
  await t.rejects(holder.ask.throwWith(), { code: 'ERR_ACTOR_FAILED', cause: { message: 'with memory' } })
  const inline = await troupe.spawn(Holder, { name: 'inline', args: { versions: shared } })
  await t.rejects(
    holder.ask.lend(inline),
    { code: 'ERR_ACTOR_FAILED', cause: refused('args[1]') },
    'in an ask of its own',
  )
})

t.test('shared memory counts nothing in a mailbox, since it is not there', async t => {
  const { troupe } = await stage(t)
  const versions = new Int32Array(new SharedArrayBuffer(4))
  const big = new SharedArrayBuffer(100_000)
  for (const isolation of ['inline', 'thread'] as const) {
    const options = { name: isolation, isolation, args: { versions }, mailbox: { maxBytes: 50_000 } }
    const holder = await troupe.spawn(Holder, options)
    await holder.ask.attach(0, big)
    await t.rejects(holder.ask.attach(0, new ArrayBuffer(100_000) as unknown as SharedArrayBuffer), {
      code: 'ERR_MAILBOX_FULL',
    })
  }
})

apart(t, 'a class that cannot be loaded there fails its start with a typed reason', async (t, isolation) => {
  const { troupe } = await stage(t)
  const declared = (name: string, module?: string): ActorClass => {
    class Declared extends Actor {}
    actor(name, module === undefined ? {} : { module: new URL(module, import.meta.url).href })(Declared)
    return Declared
  }
  for (const [type, code, message] of [
    [declared(`unloadable-without-${isolation}`), 'ERR_NOT_LOADABLE', /module: import\.meta\.url/],
    [
      declared(`unloadable-broken-${isolation}`, '../fixtures/threads/broken.ts'),
      'ERR_MODULE_LOAD',
      /broken\.ts/,
    ],
    [
      declared(`unloadable-missing-${isolation}`, '../fixtures/threads/nowhere.ts'),
      'ERR_MODULE_LOAD',
      /nowhere\.ts/,
    ],
    [
      declared(`unloadable-other-${isolation}`, '../fixtures/threads/other-actor.ts'),
      'ERR_NOT_LOADABLE',
      /no such class/,
    ],
  ] as const) {
    const error = await troupe.spawn(type, { name: 'a', isolation }).catch((reason: unknown) => reason)
    t.match(error, { code: 'ERR_ACTOR_START', cause: { code, message } }, code)
    t.equal(troupe.inspect().children.length, 1)
  }
})

apart(t, 'a module that starts a runtime cannot be the one of an isolated actor', async (t, isolation) => {
  const { troupe } = await stage(t)
  const { Reentrant } = await import('../fixtures/threads/reentrant-actor.js')
  const error = await troupe.spawn(Reentrant, { name: 'a', isolation }).catch((reason: unknown) => reason)
  t.match(error, {
    code: 'ERR_ACTOR_START',
    cause: {
      code: 'ERR_MODULE_LOAD',
      cause: {
        code: 'ERR_RUNTIME_IN_THREAD',
        message: /reentrant-actor\.ts starts a runtime when it is imported/,
      },
    },
  })
})

apart(t, 'an isolated actor has children in the runtime, supervised as any', async (t, isolation) => {
  const staged = await show(t, isolation)
  const { rogue, troupe } = staged
  const child = await rogue.ask.adopt()
  t.equal(child.path, '/rogue/child')
  await child.ask.touch()
  t.match(view(staged)?.children, [{ path: '/rogue/child', type: 'test-idle', state: 'running' }])
  await rogue.ask.killTwice()
  await until(() => view(staged)?.children.length === 0)
  t.equal(troupe.counters().suppressedErrors, 0, 'the second kill of what is gone does nothing')
  t.equal(await rogue.ask.count(), 1)
})

apart(t, 'deferring the reply to a message that is over is refused there', async (t, isolation) => {
  const { rogue, said } = await show(t, isolation)
  await rogue.ask.deferLate()
  await until(() => said.length === 1)
  t.match(said, [{ text: 'refused', fields: { code: 'ERR_ACTOR_TYPE' } }])
  t.equal(await rogue.ask.count(), 1)
})

t.test('what an ended incarnation wanted to spawn does not appear in the next one', async t => {
  const { troupe } = await stage(t)
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation: 'thread' })
  let reached!: () => void
  let open!: () => void
  const loading = new Promise<void>(resolve => (reached = resolve))
  const opened = new Promise<void>(resolve => (open = resolve))
  Object.assign(globalThis, { gate: { reached, opened } })
  t.teardown(() => Object.assign(globalThis, { gate: undefined }))
  await odd.ask.spawnUnknown()
  await loading
  troupe.kill(odd)
  await odd.ask.childCount()
  open()
  await import('../fixtures/threads/gated-actor.js')
  await settle(3)
  t.equal(await odd.ask.childCount(), 0)
  t.same(troupe.inspect().children[1]?.children, [])
})

apart(
  t,
  'it knows which of the children that its actor left behind are still there',
  async (t, isolation) => {
    const { troupe, clock } = await stage(t)
    const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
    await odd.ask.lease('a', 100)
    await odd.ask.lease('b', 1_000)
    await odd.ask.fail().catch(() => undefined)
    t.equal(await odd.ask.childCount(), 2)
    await clock.advance(100)
    t.equal(await odd.ask.childCount(), 1)
  },
)
