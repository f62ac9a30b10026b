import t from 'tap'
import {
  Actor,
  actor,
  consistentHash,
  handles,
  leastLoaded,
  roundRobin,
  Troupe,
  WorkPool,
  type ActorRef,
} from 'troupe'
import { until } from '../helpers/runtime.js'

@actor('routed-member')
class Member extends Actor {
  readonly #got: string[] = []
  #release: (() => void) | undefined

  @handles() async work(job: string): Promise<string> {
    this.#got.push(job)
    if (job === 'block') await new Promise<void>(resolve => (this.#release = resolve))
    if (job === 'fail') throw new Error('no')
    return `${job} by ${this.ctx.path}`
  }
  @handles() got(): string[] {
    return this.#got
  }
  /** Not a message, since the actor is busy when it is needed. */
  static release(member: ActorRef<Member>, troupe: Troupe): void {
    const instance = troupe.runtime.find(member.path)?.incarnation?.instance
    if (instance instanceof Member) instance.#release?.()
  }
}

async function members(troupe: Troupe, names: readonly string[]): Promise<ActorRef<Member>[]> {
  return Promise.all(names.map(name => troupe.spawn(Member, { name })))
}

t.test('roundRobin: members take turns, for tells and asks alike', async t => {
  await using troupe = await Troupe.start()
  const three = await members(troupe, ['a', 'b', 'c'])
  const route = roundRobin(three)
  for (let i = 0; i < 4; i++) route.tell.work(`t${i}`)
  t.equal(await route.ask.work('x'), 'x by /b')
  t.same(await Promise.all(three.map(member => member.ask.got())), [['t0', 't3'], ['t1', 'x'], ['t2']])
})

t.test('leastLoaded: a busy member is passed over', async t => {
  await using troupe = await Troupe.start()
  const two = await members(troupe, ['a', 'b'])
  const route = leastLoaded(two)
  const blocked = route.ask.work('block')
  const replies = [await route.ask.work('1'), await route.ask.work('2'), await route.ask.work('3')]
  t.same(replies, ['1 by /b', '2 by /b', '3 by /b'])
  Member.release(two[0]!, troupe)
  t.equal(await blocked, 'block by /a')
})

t.test('consistentHash: a key stays with its member, and only the keys of one that leaves move', async t => {
  await using troupe = await Troupe.start()
  const four = await members(troupe, ['a', 'b', 'c', 'd'])
  const byKey = (_message: string, [job]: readonly unknown[]): string => String(job)
  const keys = Array.from({ length: 400 }, (_, i) => `key-${i}`)
  const place = async (route: ActorRef<Member>): Promise<string[]> =>
    (await Promise.all(keys.map(key => route.ask.work(key)))).map(reply => reply.slice(reply.indexOf('/')))
  const before = await place(consistentHash(four, byKey))
  t.same(
    await place(consistentHash(four.toReversed(), byKey)),
    before,
    'whatever order the members are given in',
  )
  const after = await place(consistentHash(four.slice(0, 3), byKey))
  const moved = keys.filter((_, i) => before[i] !== after[i])
  const onD = keys.filter((_, i) => before[i] === '/d')
  t.same(moved, onD)
  for (const name of ['/a', '/b', '/c', '/d']) {
    const share = before.filter(path => path === name).length / keys.length
    t.ok(share > 0.1 && share < 0.45, `${name} has ${share} of the keys`)
  }
})

t.test('a route without members, sent, or watched is refused', async t => {
  await using troupe = await Troupe.start({ strictPayloads: true })
  t.throws(() => roundRobin([]), { code: 'ERR_INVALID_OPTION', data: { option: 'members' } })
  const [one] = await members(troupe, ['a'])
  const route = roundRobin([one!])
  await t.rejects(one!.ask.work(route as unknown as string), { code: 'ERR_PAYLOAD' })
  await t.rejects(troupe.whenTerminated(route), { code: 'ERR_ACTOR_TYPE' })
})

t.test('WorkPool: free workers pull jobs, a full queue rejects, a failing job fails alone', async t => {
  await using troupe = await Troupe.start()
  const pool = await troupe.spawn(WorkPool, {
    name: 'pool',
    args: { worker: Member, size: 2, maxQueued: 1 },
  })
  const blocked = pool.ask.submit('block')
  t.equal(await pool.ask.submit('1'), '1 by /pool/worker-1', 'the free worker takes it')
  t.equal(await pool.ask.submit('2'), '2 by /pool/worker-1')
  const alsoBlocked = pool.ask.submit('block')
  const queued = pool.ask.submit('3')
  await t.rejects(pool.ask.submit('4'), { name: 'Rejected', code: 'POOL_FULL' })
  Member.release(troupe.lookup(Member, '/pool/worker-0'), troupe)
  t.equal(await blocked, 'block by /pool/worker-0')
  t.equal(await queued, '3 by /pool/worker-0', 'the first to be free takes the one that waits')
  await t.rejects(pool.ask.submit('fail'), { code: 'ERR_ACTOR_FAILED' })
  await until(() => troupe.inspect().children[0]!.children[0]!.restarts === 1)
  t.equal(await pool.ask.submit('5'), '5 by /pool/worker-0', 'the worker came back')
  Member.release(troupe.lookup(Member, '/pool/worker-1'), troupe)
  t.equal(await alsoBlocked, 'block by /pool/worker-1')
})

t.test('WorkPool: a bad size names the option', async t => {
  await using troupe = await Troupe.start()
  await t.rejects(troupe.spawn(WorkPool, { name: 'pool', args: { worker: Member, size: 0 } }), {
    code: 'ERR_ACTOR_START',
    cause: { code: 'ERR_INVALID_OPTION', data: { option: 'size', value: 0 } },
  })
})
