import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { handles, Rejected, type TroupeError } from 'troupe'
import { foreignEntry } from '../../src/actor/foreign-type.js'
import { Flooder } from '../helpers/actors/flooder.js'
import { Idle } from '../helpers/actors/idle.js'
import { Oddity } from '../helpers/actors/oddity.js'
import { Sequencer } from '../helpers/actors/sequencer.js'
import { Subject } from '../helpers/actors/subject.js'
import { FORGIVING, onEach, published, stage } from '../helpers/runtime.js'

t.setTimeout(180_000)

const SENDERS = 4
const EACH = 25_000

onEach(t, 'messages of a pair arrive in sending order: 100,000 from four senders', async (t, isolation) => {
  const { troupe } = await stage(t)
  const receiver = await troupe.spawn(Sequencer, { name: 'receiver', isolation })
  const bursts = Array.from({ length: SENDERS }, async (_, k) => {
    // one of them lives where the receiver does, the others on the event loop
    const options = { name: `sender-${k}`, isolation: k === 0 ? isolation : 'inline' } as const
    const sender = await troupe.spawn(Flooder, options)
    await sender.ask.with({ timeoutMs: 60_000 }).burst(receiver, options.name, EACH)
  })
  await Promise.all(bursts)
  const seen = await receiver.ask.whenReceived(SENDERS * EACH)
  t.same(seen, { total: SENDERS * EACH, outOfOrder: 0, senders: SENDERS })
  t.equal(troupe.counters().deadLetters, 0)
})

// actors that live through all of it: a thread is slow to start
onEach(t, 'messages and replies', async (t, isolation) => {
  const { troupe, clock, probe, spawn } = await stage(t)
  const subject = await spawn({ name: 'subject', isolation }, { notes: false })
  const b = await spawn({ name: 'b' }, { notes: false })
  const c = await spawn({ name: 'c', isolation }, { notes: false })

  await t.test('a handler that awaits is not interleaved with the next message', async t => {
    subject.tell.wait('first')
    subject.tell.say('second')
    const answer = subject.ask.count()
    await probe.ask.arrived('first')
    t.same(await probe.ask.take(), [], 'the second message waits for the end of the first')
    probe.tell.open('first')
    await answer
    t.same(await probe.ask.take(), ['subject passed first', 'subject second'])
  })

  await t.test('an ask gives what a handler returns, at once or later, with any arguments', async t => {
    subject.tell.add(2)
    subject.tell.add(3)
    t.equal(await subject.ask.count(), 5)
    t.same(await subject.ask.echo({ a: [1, 'two', null] }), { a: [1, 'two', null] })
    t.equal(await subject.ask.echo(undefined), undefined)
    t.equal(await subject.ask.wait('first'), 'first')
    t.equal(await subject.ask.join('a'), 'a')
    t.equal(await subject.ask.join('a', 'b', 'c'), 'a b c')
  })

  await t.test('Rejected reaches the asker, and the actor lives', async t => {
    for (const handler of ['refuse', 'refuseLater'] as const) {
      const error: unknown = await subject.ask[handler]('OUT_OF_STOCK').catch((reason: unknown) => reason)
      t.ok(error instanceof Rejected, `${handler}: a Rejected`)
      t.equal((error as Rejected).code, 'OUT_OF_STOCK')
    }
    await t.rejects(subject.ask.refuse('NO'), { message: 'refused: NO', data: { count: 5 } })
    const refused = published(t, 'troupe.rejected-tell', troupe)
    subject.tell.refuse('NOBODY_THERE')
    t.equal(await subject.ask.count(), 5, 'same instance')
    t.equal(troupe.counters().rejectedTells, 1, 'a refused tell is counted')
    t.match(refused, [{ path: '/subject', code: 'NOBODY_THERE', message: 'refused: NOBODY_THERE' }])
  })

  await t.test('an ask times out with an unknown outcome; the late reply is dropped and counted', async t => {
    const late = published(t, 'troupe.late-reply', troupe)
    const asked = subject.ask.with({ timeoutMs: 50 }).wait('slow')
    let settled = false
    asked.catch(() => (settled = true))
    await probe.ask.arrived('slow')
    await clock.advance(49)
    t.equal(settled, false, 'not early')
    await clock.advance(10)
    await t.rejects(asked, {
      code: 'ERR_ASK_TIMEOUT',
      data: { path: '/subject', message: 'wait', timeoutMs: 50 },
    })
    t.equal(troupe.counters().lateReplies, 0)
    probe.tell.open('slow')
    t.equal(await subject.ask.count(), 5, 'the actor goes on')
    t.equal(troupe.counters().lateReplies, 1)
    t.match(late, [{ path: '/subject', message: 'wait' }])
    await probe.ask.take()
  })

  await t.test('an AbortSignal gives an ask up; one that still waits is not handled at all', async t => {
    const controller = new AbortController()
    const { signal } = controller
    const running = subject.ask.with({ signal }).wait('aborted')
    const queued = subject.ask.with({ signal }).say('never said')
    await probe.ask.arrived('aborted')
    const why = new Error('changed my mind')
    controller.abort(why)
    await t.rejects(running, { code: 'ERR_ASK_ABORTED', cause: why })
    await t.rejects(queued, { code: 'ERR_ASK_ABORTED' })
    await t.rejects(subject.ask.with({ signal }).count(), { code: 'ERR_ASK_ABORTED' }, 'aborted before')
    probe.tell.open('aborted')
    await subject.ask.count()
    t.same(await probe.ask.take(), ['subject passed aborted'])
    t.equal(troupe.counters().lateReplies, 2, 'the reply of the running one')
  })

  await t.test('an ask that comes back to a busy actor fails at once and names the chain', async t => {
    const cycle = (message: string) => ({ code: 'CYCLE', message })
    t.equal(await subject.ask.relay(b, c), '/c', 'without a cycle there is no error')
    await t.rejects(subject.ask.relay(subject), cycle('/subject → /subject'))
    await t.rejects(subject.ask.relay(b, subject), cycle('/subject → /b → /subject'))
    await t.rejects(b.ask.relay(c, subject, b), cycle('/b → /c → /subject → /b'))
    await t.rejects(subject.ask.relay(b, c, b), cycle('/subject → /b → /c → /b'))
    t.equal(await subject.ask.nested({ peer: b }), '/b')
    await t.rejects(
      subject.ask.nested({ peer: subject }),
      { code: 'CYCLE', message: '/subject → /subject' },
      'a ref inside a payload knows the chain once ctx.ref has bound it',
    )
  })

  await t.test('pipeToSelf and deferReply end being busy: no cycle', async t => {
    subject.tell.relayPiped(b, subject)
    t.same(await probe.ask.reach(1), ['subject relayed to /subject'])
    t.equal(await subject.ask.relayDeferred(b, subject), '/subject')
    // busy again when the ask comes back, but with another message: that one ends without it
    subject.tell.relayPiped(b, subject)
    subject.tell.hold('other message')
    await probe.ask.arrived('other message')
    probe.tell.open('other message')
    t.same(await probe.ask.reach(2), ['subject relayed to /subject', 'subject relayed to /subject'])
    await probe.ask.take()
  })

  await t.test('a deferred reply is given later, once, while other messages are handled', async t => {
    const first = subject.ask.defer()
    t.equal(await subject.ask.count(), 5)
    subject.tell.answer('late')
    t.equal(await first, 'late')
    const refused = subject.ask.defer()
    subject.tell.refuseDeferred('NOT_NOW')
    await t.rejects(refused, { code: 'NOT_NOW' })
  })

  await t.test('a payload that cannot travel is refused where it is sent', async t => {
    const payload = { callback: () => undefined }
    await t.rejects(subject.ask.echo(payload), { code: 'ERR_PAYLOAD', message: /callback/ })
    t.throws(() => subject.tell.echo(payload), { code: 'ERR_PAYLOAD' })
    class Money {
      readonly cents = 5
    }
    await t.rejects(subject.ask.echo(new Money()), { code: 'ERR_PAYLOAD' }, 'an object of a class')
    t.equal(await subject.ask.count(), 5, 'the receiver is not to blame')
  })

  await t.test('a stop lets the message under way end, and settles all that wait', async t => {
    const lost = subject.ask.defer()
    const running = subject.ask.wait('last')
    const queued = subject.ask.count()
    await probe.ask.arrived('last')
    const stopped = troupe.stop(subject)
    await t.rejects(queued, { code: 'ERR_ACTOR_STOPPED' })
    await t.rejects(subject.ask.count(), { code: 'ERR_ACTOR_STOPPED' }, 'also what comes while it stops')
    probe.tell.open('last')
    t.equal(await running, 'last')
    await stopped
    await t.rejects(lost, { code: 'ERR_REPLY_LOST', data: { path: '/subject' } })
    await probe.ask.take()
  })

  await t.test('an ask to a stopped actor settles at once', async t => {
    await t.rejects(subject.ask.count(), { code: 'ERR_ACTOR_STOPPED', data: { path: '/subject' } })
    const nobody = troupe.lookup(Subject, '/nobody')
    await t.rejects(nobody.ask.count(), { code: 'ERR_ACTOR_NOT_FOUND', data: { path: '/nobody' } })
  })

  await t.test('what finds no receiver becomes a dead letter, counted and published', async t => {
    const before = troupe.counters().deadLetters
    const letters = published(t, 'troupe.dead-letter', troupe)
    await c.ask.tellLookup('/nobody', 'hello')
    subject.tell.say('too late')
    t.equal(troupe.counters().deadLetters, before + 2)
    const [first, second] = letters
    t.match(first, { path: '/nobody', message: 'say', sender: '/c', cause: 'no such actor' })
    t.match(second, { path: '/subject', message: 'say', sender: undefined, cause: 'the actor has stopped' })
  })

  await t.test('a ref names a path: after the end of one actor it means the next of that name', async t => {
    const early = troupe.lookup(Subject, '/subject')
    await spawn({ name: 'subject' }, { notes: false })
    t.equal(await subject.ask.count(), 0)
    t.equal(await early.ask.count(), 0)
  })
})

onEach(t, 'a crash fails the ask under way with a typed error', async (t, isolation) => {
  const { troupe, probe, spawn } = await stage(t)
  const subject = await spawn({ name: 'subject', isolation })
  const crashing = subject.ask.failAfter('gate')
  const queued = subject.ask.count()
  await probe.ask.arrived('gate')
  probe.tell.open('gate')
  await t.rejects(crashing, {
    code: 'ERR_ACTOR_FAILED',
    data: { path: '/subject' },
    cause: { message: 'failed after gate' },
  })
  t.equal(await queued, 0, 'the next incarnation answers what waits')
  const killed = subject.ask.wait('other')
  await probe.ask.arrived('other')
  troupe.kill(subject)
  await t.rejects(killed, { code: 'ERR_ACTOR_FAILED', data: { path: '/subject', reason: 'killed' } })
  await t.rejects(subject.ask.wrong(), { code: 'ERR_ACTOR_FAILED', cause: { code: 'ERR_PAYLOAD' } })
})

onEach(t, 'a crash that nobody restarts fails the waiting asks too', async (t, isolation) => {
  const { spawn } = await stage(t)
  const subject = await spawn({ name: 'brief', isolation, restart: 'temporary' })
  const crashing = subject.ask.failLater('boom')
  const queued = subject.ask.count()
  await t.rejects(crashing, { code: 'ERR_ACTOR_FAILED', cause: { message: 'boom' } })
  await t.rejects(queued, { code: 'ERR_ACTOR_FAILED', cause: { message: 'boom' } })
})

onEach(t, 'an actor is sent messages of its own class only, by name', async (t, isolation) => {
  const { troupe, spawn } = await stage(t)
  const subject = await spawn({ name: 'a' })
  await troupe.stop(subject)
  await troupe.spawn(Idle, { name: 'a', isolation })
  const deadLetters = published(t, 'troupe.dead-letter', troupe)
  subject.tell.add(1)
  await t.rejects(subject.ask.count(), { code: 'ERR_UNKNOWN_MESSAGE', data: { message: 'count' } })
  await t.rejects(subject.ask.refuse('code'), { code: 'NO' }, 'which the other class handles its own way')
  t.match(deadLetters, [{ path: '/a', message: 'add', cause: /test-idle handles no message "add"/ }])
  t.equal(troupe.inspect().children[1]?.restarts, 0, 'a stranger can not make it fail')
})

t.test('a ref to the base class reaches what a subclass overrides', async t => {
  class Loud extends Subject {
    static readonly type = 'test-loud'
    @handles() override join(...words: string[]): string {
      return super.join(...words).toUpperCase()
    }
  }
  const { troupe, probe } = await stage(t)
  await troupe.spawn(Loud, { name: 'loud', args: { probe } })
  t.equal(await troupe.lookup(Subject, '/loud').ask.join('a', 'b'), 'A B')
})

onEach(t, 'a deferred reply that cannot travel is refused where it is given', async (t, isolation) => {
  const { troupe } = await stage(t)
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
  await t.rejects(odd.ask.answerWrong(), { code: 'REFUSED' })
})

onEach(t, 'a handler that fails after it deferred its reply fails the ask at once', async (t, isolation) => {
  const { troupe } = await stage(t, { supervision: { ...FORGIVING, decide: () => 'resume' } })
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
  const cause = { message: 'thought better of it' }
  await t.rejects(odd.ask.deferThenFail(false), { code: 'ERR_ACTOR_FAILED', cause })
  await t.rejects(odd.ask.deferThenRefuse(), { code: 'NO_ROOM' }, 'a refusal is one here too')
  t.equal(await odd.ask.deferThenFail(true), 'settled before')
  odd.tell.deferThenFail(false)
  t.equal(await odd.ask.childCount(), 0)
  t.match(troupe.inspect().children[1], { restarts: 0, lastFailure: cause })
})

onEach(t, 'an error gets through whatever hangs on it, and harms nobody on its way', async (t, isolation) => {
  const { troupe } = await stage(t)
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
  const inline = await troupe.spawn(Oddity, { name: 'inline' })
  await t.rejects(odd.ask.failWith('rejected'), { code: 'HEAVY', message: 'with a function' })
  t.equal(await odd.ask.askToFail(inline, 'error'), 'ERR_ACTOR_FAILED', 'from the event loop to where it is')
  t.equal(await odd.ask.askToFail(inline, 'rejected'), 'HEAVY')
  t.equal(troupe.inspect().children[1]?.restarts, 0)
  const cause = { message: 'with a function' }
  await t.rejects(odd.ask.failWith('error'), { code: 'ERR_ACTOR_FAILED', cause })
  t.equal(await odd.ask.childCount(), 0, 'its successor is told of it')
  t.match(troupe.inspect().children[1], { restarts: 1, lastFailure: cause })
  await t.rejects(odd.ask.failWith('text'), { code: 'ERR_ACTOR_FAILED' })
  t.match(troupe.inspect().children[1]?.lastFailure, { message: /no error at all/ })
})

t.test('a message that a thread refuses has one outcome', async t => {
  const { troupe } = await stage(t)
  const odd = await troupe.spawn(Oddity, { name: 'odd', isolation: 'thread' })
  const { runtime } = troupe
  const outcomes: string[] = []
  const unknown = foreignEntry('unknown')
  runtime.find('/odd')?.deliver(unknown, runtime.seal(unknown, 1, 'thread'), {
    chain: undefined,
    expired: false,
    settle: value => void outcomes.push(`settled with ${String(value)}`),
    fail: error => void outcomes.push((error as TroupeError).code),
  })
  t.equal(await odd.ask.childCount(), 0)
  t.same(outcomes, ['ERR_UNKNOWN_MESSAGE'])
})

onEach(t, 'an idle mailbox keeps nothing of its last message alive', async (t, isolation) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { troupe } = await stage(t, { strictPayloads: false })
  const subject = await troupe.spawn(Subject, { name: 'subject', isolation, args: { notes: false } })
  let payload: object | undefined = { rows: new Float64Array(1_000) }
  const kept = new WeakRef(payload)
  const sealed: WeakRef<object>[] = []
  if (isolation !== 'inline') {
    // what waits for another thread or process is not the payload, but its frame
    const { runtime } = troupe
    const seal = runtime.seal.bind(runtime)
    runtime.seal = (handler, value, place) => {
      const frame = seal(handler, value, place)
      sealed.push(new WeakRef(frame))
      return frame
    }
  }
  await subject.ask.echo(payload)
  payload = undefined
  for (let turn = 0; turn < 3; turn++) {
    await new Promise(resolve => setTimeout(resolve, 10))
    collect()
  }
  t.equal(kept.deref(), undefined)
  t.ok(sealed.every(frame => frame.deref() === undefined))
})

onEach(t, 'a tell may meet a handler that defers its reply: nobody waits for it', async (t, isolation) => {
  const { troupe, spawn } = await stage(t)
  const subject = await spawn({ name: 'subject', isolation })
  subject.tell.defer()
  await subject.ask.count()
  t.equal(troupe.inspect().children[1]?.restarts, 0)
})

onEach(t, 'a spawned ref can be disposed of, which stops the actor', async (t, isolation) => {
  const { troupe } = await stage(t)
  {
    await using odd = await troupe.spawn(Oddity, { name: 'odd', isolation })
    t.equal(troupe.inspect().children[1]?.path, odd.path)
  }
  t.same(
    troupe.inspect().children.map(({ path }) => path),
    ['/probe'],
  )
})

t.test('an ask cycle that its asker does not handle fails that actor', async t => {
  const { troupe, spawn } = await stage(t)
  const subject = await spawn({ name: 'subject' })
  await t.rejects(subject.ask.askItself(), { code: 'ERR_ACTOR_FAILED', cause: { code: 'ERR_ASK_CYCLE' } })
  await subject.ask.count()
  t.equal(troupe.inspect().children[1]?.restarts, 1)
})

t.test("an ask without a timeout of its own has the runtime's", async t => {
  const { clock, probe, spawn } = await stage(t, { askTimeoutMs: 1_000 })
  const subject = await spawn({ name: 'subject' })
  const refused = t.rejects(subject.ask.wait('gate'), {
    code: 'ERR_ASK_TIMEOUT',
    data: { timeoutMs: 1_000 },
  })
  await clock.advance(1_016)
  await refused
  probe.tell.open('gate')
})

t.test("an ask may wait for longer than the platform's timers can", async t => {
  const { clock, probe, spawn } = await stage(t, { askTimeoutMs: 2 ** 40 })
  const subject = await spawn({ name: 'subject' })
  const timeoutMs = 2 ** 33
  const asked = subject.ask.with({ timeoutMs }).wait('gate')
  const forever = subject.ask.with({ timeoutMs: Infinity }).count()
  let settled = false
  asked.catch(() => (settled = true))
  await clock.advance(timeoutMs - 1)
  t.equal(settled, false)
  await clock.advance(16)
  await t.rejects(asked, { code: 'ERR_ASK_TIMEOUT' })
  probe.tell.open('gate')
  t.equal(await forever, 0)
  for (const bad of [0, -1, NaN]) {
    await t.rejects(subject.ask.with({ timeoutMs: bad }).count(), {
      code: 'ERR_INVALID_OPTION',
      data: { option: 'timeoutMs', value: bad },
    })
  }
})

t.test('strictPayloads catches what works only while both sides share memory', async t => {
  const { spawn } = await stage(t)
  const subject = await spawn({ name: 'subject' })
  const sent = { n: 1 }
  await t.rejects(subject.ask.change(sent), { code: 'ERR_ACTOR_FAILED', cause: { name: 'TypeError' } })
  t.throws(() => sent.n++, TypeError, 'nor may the sender change it any more')
  const got = (await subject.ask.echo({ n: 1 })) as { n: number }
  t.throws(() => got.n++, TypeError, 'nor the asker what it was answered')
})

t.test('without strictPayloads an inline payload goes by reference', async t => {
  const { spawn } = await stage(t, { strictPayloads: false })
  const subject = await spawn({ name: 'subject' })
  const sent = { n: 1, callback: () => undefined }
  t.equal(await subject.ask.echo(sent), sent)
  t.equal(await subject.ask.change(sent), 2)
  t.equal(sent.n, 2)
})

t.test('refs in messages and Args belong to who receives them, refs in replies to who asked', async t => {
  for (const strictPayloads of [true, false]) {
    const { probe, spawn } = await stage(t, { strictPayloads })
    const subject = await spawn({ name: 'subject' })
    const other = await spawn({ name: 'other' })
    const given = await subject.ask.myself()
    await t.rejects(subject.ask.fail('now'), { code: 'ERR_ACTOR_FAILED' })
    t.equal(await given.ask.count(), 0, 'the ref outlives the incarnation that gave it')
    t.equal(await subject.ask.relay(other), '/other')
    const child = await subject.ask.spawn('child')
    t.equal(child.path, '/subject/child')
    t.equal(child.typeName, 'test-subject')
    t.equal(String(child), 'ActorRef(/subject/child)')
    const notes = (await probe.ask.take()).filter(note => !/other|child/.test(note))
    t.same(
      notes,
      ['subject starts', 'subject stops: failed, now', 'subject restarts 1 after failed, now'],
      'the ref in Args works in each incarnation',
    )
  }
})

t.test('strictPayloads reports a ref inside a payload, which nothing binds, once a message', async t => {
  const warned: string[] = []
  const quiet = (): void => undefined
  const log = { debug: quiet, info: quiet, error: quiet, warn: (text: string) => void warned.push(text) }
  const { spawn } = await stage(t, { log })
  const subject = await spawn({ name: 'subject' })
  const other = await spawn({ name: 'other' })
  await subject.ask.relay(other)
  t.same(warned, [], 'arguments are bound by themselves')
  await subject.ask.nested({ peer: other })
  await subject.ask.nested({ peer: other })
  t.match(warned, [/test-subject\.nested.*ctx\.ref/])
  t.equal(warned.length, 1)
})
