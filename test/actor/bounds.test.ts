import { readFile } from 'node:fs'
import v8 from 'node:v8'
import vm from 'node:vm'
import t from 'tap'
import { Troupe, type ActorRef, type Isolation } from 'troupe'
import { Flooder } from '../helpers/actors/flooder.js'
import { Idle } from '../helpers/actors/idle.js'
import type { Subject } from '../helpers/actors/subject.js'
import { FORGIVING, onEach, published, stage, until, type Stage } from '../helpers/runtime.js'

t.setTimeout(180_000)
// heaps are measured, and turns of the event loop counted: one test at a time
t.jobs = 1

/** A subject that is busy until the gate 'full' opens, and its view. */
async function busy(
  staged: Stage,
  isolation: Isolation,
  mailbox: { maxMessages?: number; maxBytes?: number },
): Promise<{ subject: ActorRef<Subject>; mailbox: () => { messages: number; bytes: number } }> {
  const { troupe, probe, spawn } = staged
  const subject = await spawn({ name: 'a', isolation, mailbox }, { notes: false })
  subject.tell.hold('full')
  await probe.ask.arrived('full')
  return { subject, mailbox: () => troupe.inspect().children[1]?.mailbox ?? { messages: -1, bytes: -1 } }
}

onEach(
  t,
  'a mailbox full of messages: a tell becomes a dead letter, an ask fails at once',
  async (t, isolation) => {
    const staged = await stage(t)
    const { troupe, clock, probe } = staged
    const { subject, mailbox } = await busy(staged, isolation, { maxMessages: 3 })
    const letters = published(t, 'troupe.dead-letter', troupe)
    for (let i = 0; i < 3; i++) subject.tell.add(1)
    t.equal(mailbox().messages, 3)
    subject.tell.add(100)
    t.match(letters, [{ path: '/a', message: 'add', cause: 'the mailbox is full' }])
    t.equal(troupe.counters().deadLetters, 1)
    await t.rejects(subject.ask.count(), {
      code: 'ERR_MAILBOX_FULL',
      data: { path: '/a', messages: 3, maxMessages: 3 },
    })
    await subject.ask.count().catch(() => undefined)
    await clock.advance(0)
    probe.tell.open('full')
    await until(() => mailbox().messages === 0)
    t.equal(await subject.ask.count(), 3, 'what had been taken was handled, what was refused was not')
  },
)

onEach(t, 'a mailbox full of bytes refuses what does not fit, and takes what does', async (t, isolation) => {
  const staged = await stage(t)
  const { troupe, probe } = staged
  const { subject, mailbox } = await busy(staged, isolation, { maxBytes: 10_000 })
  subject.tell.echo(new Uint8Array(6_000))
  const { bytes } = mailbox()
  t.ok(bytes >= 6_000 && bytes < 6_500, `${bytes} bytes`)
  await t.rejects(subject.ask.echo(new Uint8Array(4_500)), {
    code: 'ERR_MAILBOX_FULL',
    data: { bytes, maxBytes: 10_000 },
  })
  t.equal(mailbox().bytes, bytes)
  subject.tell.echo(new Uint8Array(2_000))
  t.equal(mailbox().messages, 2)
  t.equal(troupe.counters().deadLetters, 0)
  probe.tell.open('full')
  await until(() => mailbox().messages === 0)
  t.equal(mailbox().bytes, 0)
})

t.test('what counts: text 2 a character, binary its length, anything else 64', async t => {
  const staged = await stage(t, { strictPayloads: false })
  const { subject, mailbox } = await busy(staged, 'inline', {})
  const counted = (value: unknown): number => {
    const before = mailbox().bytes
    subject.tell.echo(value)
    return mailbox().bytes - before
  }
  t.equal(counted('four'), 8)
  t.equal(counted(new Uint8Array(100)), 100)
  t.equal(counted(new Float64Array(100)), 800)
  t.equal(counted(new ArrayBuffer(50)), 50)
  t.equal(counted({ long: 'x'.repeat(1_000) }), 64)
  t.equal(counted(7), 64)
  t.equal(counted(undefined), 64)
  const before = mailbox().bytes
  subject.tell.join('ab', 'cd')
  t.equal(mailbox().bytes - before, 8, 'several arguments count each')
  staged.probe.tell.open('full')
})

t.test('text counts alike on its way to a thread', async t => {
  const staged = await stage(t)
  const { subject, mailbox } = await busy(staged, 'thread', {})
  const before = mailbox().bytes
  subject.tell.say('x'.repeat(1_000))
  t.ok(mailbox().bytes - before >= 2_000, `${mailbox().bytes - before} bytes`)
  staged.probe.tell.open('full')
})

t.test('a full mailbox still takes timers, piped results and deaths', async t => {
  const staged = await stage(t)
  const { clock, probe, troupe, spawn } = staged
  const other = await spawn({ name: 'other' }, { notes: false })
  const subject = await spawn({ name: 'a', mailbox: { maxMessages: 1 } }, { notes: false })
  await subject.ask.after(10, 'timer')
  await subject.ask.pipe('piped', 'value')
  await subject.ask.watch(other)
  subject.tell.hold('full')
  await probe.ask.arrived('full')
  subject.tell.add(1)
  await clock.advance(10)
  probe.tell.open('piped')
  await troupe.stop(other)
  await t.rejects(subject.ask.count(), { code: 'ERR_MAILBOX_FULL' })
  probe.tell.open('full')
  t.same([...(await probe.ask.reach(3))].sort(), ['a got piped', 'a saw /other end: stopped', 'a timer'])
})

t.test('an actor that floods itself does not starve I/O', async t => {
  const troupe = await Troupe.start()
  t.teardown(() => troupe.close())
  const flooder = await troupe.spawn(Flooder, { name: 'flooder' })
  await flooder.ask.flood()
  const turns: string[] = []
  await Promise.all([
    new Promise<void>(resolve => setTimeout(resolve, 1)).then(() => turns.push('timer')),
    new Promise<void>(resolve => setImmediate(resolve)).then(() => turns.push('immediate')),
    new Promise<void>((resolve, reject) => {
      readFile(new URL(import.meta.url), error => (error === null ? resolve() : reject(error)))
    }).then(() => turns.push('file')),
  ])
  t.same(turns.sort(), ['file', 'immediate', 'timer'], 'each had its turn while the flood went on')
  t.ok((await flooder.ask.rounds()) > 256, 'it was a flood')
})

t.test('an actor that floods itself does not starve other actors', async t => {
  const { troupe, spawn } = await stage(t, { strictPayloads: false })
  const flooder = await troupe.spawn(Flooder, { name: 'flooder' })
  const subject = await spawn({ name: 'a' })
  await flooder.ask.flood()
  for (let i = 0; i < 100; i++) t.equal(await subject.ask.echo(i), i)
  t.ok((await flooder.ask.rounds()) > 100)
})

/** Collects, so that what is left is what is held. */
function heapBytes(): number {
  v8.setFlagsFromString('--expose-gc')
  const collect = vm.runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

t.test('100,000 actors spawned and stopped leave no memory behind', async t => {
  const troupe = await Troupe.start({ supervision: FORGIVING })
  t.teardown(() => troupe.close())
  const cycle = async (count: number): Promise<number> => {
    const refs: ActorRef<Idle>[] = []
    for (let i = 0; i < count; i++) refs.push(await troupe.spawn(Idle, { name: `idle-${i}` }))
    // half of them have done something
    for (let i = 0; i < count; i += 2) refs[i]?.tell.touch()
    await refs.at(-2)?.ask.touch()
    const held = heapBytes()
    for (const ref of refs) await troupe.stop(ref)
    return held
  }
  await cycle(1_000)
  const before = heapBytes()
  const held = await cycle(100_000)
  const after = heapBytes()
  t.equal(troupe.inspect().children.length, 0)
  const actors = held - before
  t.ok(actors > 100_000 * 100, `they were there: ${actors} bytes`)
  t.ok(after - before < 0.02 * actors, `${after - before} of ${actors} bytes are left`)
})

t.test('50,000 restarts and 50,000 refused asks leave no memory behind', async t => {
  const troupe = await Troupe.start({ supervision: { ...FORGIVING, maxRestarts: 1_000_000, withinMs: 1 } })
  t.teardown(() => troupe.close())
  const idle = await troupe.spawn(Idle, { name: 'idle' })
  const cycle = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      if (i % 2 === 0) idle.tell.fail()
      else await idle.ask.refuse().catch(() => undefined)
    }
    await idle.ask.touch()
  }
  const grown: number[] = []
  let before = heapBytes()
  for (let i = 0; i < 5; i++) {
    await cycle(20_000)
    const after = heapBytes()
    grown.push(after - before)
    before = after
  }
  // a leak shows in each cycle, what the engine and the test runner learn does not
  t.ok(Math.min(...grown) < 20_000 * 4, `grew by ${grown.join(', ')} bytes`)
})
