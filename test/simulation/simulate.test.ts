import t from 'tap'
import { Actor, actor, ActorContext, handles, Args } from 'troupe'
import { explore, randomPlan, simulate, type Fault, type Simulation } from 'troupe/testing'
import { inject } from 'tsyringe'
import { SeededRandom } from '../../src/determinism/index.js'
import type { TroupeError } from '../../src/errors.js'
import { shrinkPlan } from '../../src/simulation/shrink.js'

/** Reports what it handles. */
@actor('simulated-scribe')
class Scribe extends Actor {
  readonly #log: (line: string) => void
  readonly #ctx: ActorContext

  constructor(@inject(Args) log: (line: string) => void, @inject(ActorContext) ctx: ActorContext) {
    super()
    this.#log = log
    this.#ctx = ctx
  }

  @handles() write(line: string): void {
    this.#log(line)
  }

  @handles() after(delayMs: number, line: string): void {
    this.#ctx.after(delayMs, () => this.#log(`${line}@${this.#ctx.clock.monotonic()}`))
  }

  @handles() now(): number {
    return this.#ctx.clock.now()
  }

  @handles() peek(): void {
    try {
      Date.now()
    } catch {
      // an actor that swallows the refusal does not save the run
    }
  }
}

/** Sends numbered lines from node a to a scribe on node b, one a millisecond; answers what arrived. */
async function send(seed: number, count: number, faults: readonly Fault[]): Promise<string[]> {
  const lines: string[] = []
  await simulate({ seed, nodes: ['a', 'b'], faults }, async sim => {
    await sim.node('b').troupe.spawn(Scribe, { name: 'scribe', args: (line: string) => lines.push(line) })
    const scribe = sim.node('a').troupe.lookup(Scribe, '/scribe')
    await scribe.ask.with({ timeoutMs: 1e6 }).now()
    for (let i = 0; i < count; i++) {
      scribe.tell.write(String(i))
      await sim.sleep(1)
    }
    await sim.sleep(1_000)
  })
  return lines
}

const failure = async (work: Promise<unknown>): Promise<TroupeError> => {
  try {
    await work
  } catch (error) {
    return error as TroupeError
  }
  throw new Error('nothing failed')
}

t.test('Virtual time: moves only when nothing can run, and timers of a node fire in order', async t => {
  const lines: string[] = []
  const report = await simulate({ seed: 1, nodes: ['a'] }, async sim => {
    const args = (line: string): number => lines.push(line)
    const scribe = await sim.node('a').troupe.spawn(Scribe, { name: 'scribe', args })
    scribe.tell.after(3_600_000 / 10, 'later')
    scribe.tell.after(5, 'first')
    scribe.tell.after(5, 'second')
    scribe.tell.write('now')
    await sim.sleep(400_000)
    t.equal(sim.nowMs, 400_000)
  })
  t.same(lines, ['now', 'first@5', 'second@5', 'later@360000'])
  t.equal(report.virtualMs, 400_000)
})

t.test('Scheduler: every order of mailboxes comes up, and messages of one sender stay in order', async t => {
  const orders = new Set<string>()
  for (let seed = 1; seed <= 60; seed++) {
    const lines: string[] = []
    await simulate({ seed, nodes: ['a'] }, async sim => {
      const { troupe } = sim.node('a')
      const args = (line: string): number => lines.push(line)
      for (const name of ['x', 'y', 'z']) await troupe.spawn(Scribe, { name, args })
      for (const name of ['x', 'y', 'z']) {
        const scribe = troupe.lookup(Scribe, `/${name}`)
        scribe.tell.write(`${name}1`)
        scribe.tell.write(`${name}2`)
      }
      await sim.sleep(1)
    })
    orders.add(lines.filter(line => line.endsWith('1')).join(' '))
    for (const name of ['x', 'y', 'z']) {
      t.ok(lines.indexOf(`${name}1`) < lines.indexOf(`${name}2`))
    }
  }
  t.equal(orders.size, 6, [...orders].join(', '))
})

t.test('Network: without faults everything arrives, in order', async t => {
  const sent = Array.from({ length: 100 }, (_, i) => String(i))
  for (const seed of [1, 2, 3]) t.same(await send(seed, 100, []), sent)
})

const always = { atMs: 20, forMs: 50 }

t.test('Network: faults do what they say while they are in force, and are told of', async t => {
  const none = await send(4, 100, [{ ...always, kind: 'drop', probability: 1 }])
  t.ok(none.length >= 45 && none.length <= 55, `${none.length} of 100 passed a drop of half the time`)

  const delayed = await send(5, 100, [{ ...always, kind: 'delay', delayMs: 40 }])
  t.same(delayed.length, 100, 'a delay loses nothing, and keeps the order')
  t.same(
    delayed,
    delayed.toSorted((a, b) => Number(a) - Number(b)),
  )

  const reordered = await send(6, 100, [{ ...always, kind: 'reorder', probability: 0.5, delayMs: 5 }])
  t.ok(reordered.length < 100, 'who is overtaken is lost')
  t.same(
    reordered,
    reordered.toSorted((a, b) => Number(a) - Number(b)),
    'and never handled out of order',
  )

  const doubled = await send(7, 100, [{ ...always, kind: 'duplicate', probability: 1, delayMs: 5 }])
  t.equal(doubled.length, 100, 'a copy is not handled')

  const cut = await send(8, 100, [{ ...always, kind: 'partition', from: ['a'], to: ['b'] }])
  t.ok(cut.length >= 45 && cut.length <= 55, `${cut.length} of 100 passed a partition of half the time`)
  const otherWay = await send(8, 100, [{ ...always, kind: 'partition', from: ['b'], to: ['a'] }])
  t.equal(otherWay.length, 100, 'a partition of one way leaves the other open')
})

t.test('Nodes: a paused one runs nothing until it resumes; then what waited runs', async t => {
  const lines: string[] = []
  const faults: Fault[] = [{ kind: 'pause', node: 'a', atMs: 10, forMs: 90 }]
  await simulate({ seed: 1, nodes: ['a', 'b'], faults }, async sim => {
    const args = (line: string): number => lines.push(`${line} at ${Math.round(sim.nowMs)}`)
    const scribe = await sim.node('a').troupe.spawn(Scribe, { name: 'scribe', args })
    scribe.tell.after(50, 'timer')
    await sim.sleep(20)
    sim.node('b').troupe.lookup(Scribe, '/scribe').tell.write('message')
    await sim.sleep(70)
    t.same(lines, [])
    t.equal(sim.node('a').state, 'paused')
    await sim.sleep(50)
  })
  t.equal(lines.length, 2)
  t.match(
    lines.find(line => line.startsWith('timer')),
    /^timer@100 at 100$/,
  )
})

t.test('Nodes: a crash ends all at once, and the next boot is a new incarnation', async t => {
  const lines: string[] = []
  const boots: number[] = []
  const faults: Fault[] = [{ kind: 'crash', node: 'a', atMs: 10, restartAfterMs: 30 }]
  await simulate(
    {
      seed: 1,
      nodes: ['a', 'b'],
      faults,
      boot: async (node, sim) => {
        if (node.id !== 'a') return
        boots.push(node.incarnation)
        const args = (line: string): number => lines.push(`${line} of ${node.incarnation} at ${sim.nowMs}`)
        const scribe = await node.troupe.spawn(Scribe, { name: 'scribe', args })
        scribe.tell.after(20, 'timer')
      },
    },
    async sim => {
      await sim.sleep(20)
      t.equal(sim.node('a').state, 'down')
      t.throws(() => sim.node('a').troupe, { code: 'ERR_NODE_LOST' })
      await sim.sleep(500)
      t.ok(sim.isOver('a', 1))
      t.notOk(sim.isOver('a', 2))
    },
  )
  t.same(boots, [1, 2])
  t.same(lines, ['timer@60 of 2 at 60'])
})

t.test('Nodes: a skewed wall clock is wrong, the monotonic one is not', async t => {
  const faults: Fault[] = [{ kind: 'skew', node: 'a', atMs: 5, skewMs: -60_000 }]
  await simulate({ seed: 1, nodes: ['a'], faults }, async sim => {
    const scribe = await sim.node('a').troupe.spawn(Scribe, { name: 'scribe', args: () => {} })
    const before = await scribe.ask.now()
    await sim.sleep(10)
    t.equal(await scribe.ask.now(), before + 10 - 60_000)
  })
})

t.test('A run fails, and says why, when', async t => {
  const run = (scenario: (sim: Simulation) => void | Promise<void>, more = {}) =>
    failure(simulate({ seed: 9, nodes: ['a'], ...more }, scenario))

  const thrown = await run(() => {
    throw new Error('the scenario broke')
  })
  t.match(
    thrown,
    { code: 'ERR_SIMULATION_FAILED', message: /seed 9 failed at .* the scenario broke/ },
    'it throws',
  )
  t.equal(thrown.data['seed'], 9)

  const hung = await run(() => new Promise(() => {}))
  t.match(hung, { message: /nothing is left that could happen/ }, 'it waits for what cannot come')

  const long = await run(sim => sim.sleep(1e9), { maxVirtualMs: 1_000 })
  t.match(long, { message: /no end after 1000 ms of virtual time/ }, 'it takes too long')

  const busy = await run(
    async sim => {
      for (;;) await sim.sleep(0)
    },
    { maxEvents: 500 },
  )
  t.match(busy, { message: /no end after 500 events/ }, 'it never rests')

  const rejected = await run(async sim => {
    void Promise.reject(new Error('nobody cares'))
    await sim.sleep(1)
  })
  t.match(rejected, { message: /nobody cares/ }, 'a promise is rejected with nobody to care')

  const never = await run(sim => {
    const started = sim.nowMs
    sim.always('time stands still', () => sim.nowMs - started < 5)
    return sim.sleep(10)
  })
  t.match(
    never,
    { message: /always 'time stands still' does not hold, at 10\.000 ms/ },
    'an always does not hold',
  )

  const late = await run(sim => sim.eventually('pigs fly', () => false, 100))
  t.match(
    late,
    { message: /eventually 'pigs fly' did not come to hold in time, at 100\.000 ms/ },
    'an eventually does not come',
  )

  const impure = await run(async sim => {
    const scribe = await sim.node('a').troupe.spawn(Scribe, { name: 'scribe', args: () => {} })
    scribe.tell.peek()
    await sim.sleep(10)
  })
  t.match(
    impure,
    { code: 'ERR_SIMULATION_IMPURE', message: /the simulation touched Date\.now/ },
    'an actor touches the machine',
  )

  const nested = await run(async () => {
    await simulate({ seed: 1 }, () => {})
  })
  t.match(nested, { message: /ERR_SIMULATION_BUSY/ }, 'it holds another')
})

t.test('eventually: resolves as soon as it holds, and the run waits for it', async t => {
  let done = false
  const report = await simulate({ seed: 1, nodes: [] }, sim => {
    void sim.sleep(500).then(() => {
      done = true
    })
    void sim.eventually('it is done', () => done)
  })
  t.equal(report.virtualMs, 500)
})

t.test(
  'explore: finds the seed, shrinks the plan to the one fault that matters, prints how to repeat it',
  async t => {
    const printed: string[] = []
    const faults: Fault[] = [
      { kind: 'delay', atMs: 1, forMs: 50, delayMs: 5 },
      { kind: 'skew', atMs: 3, node: 'a', skewMs: 5 },
      { kind: 'crash', atMs: 10, node: 'b' },
      { kind: 'pause', atMs: 12, node: 'c', forMs: 3 },
    ]
    const error = await failure(
      explore(
        {
          name: 'planted',
          seeds: 20,
          plan: random => (random.below(3) === 0 ? faults : []),
          print: line => printed.push(line),
        },
        async sim => {
          await sim.sleep(100)
          sim.always('b lives', sim.node('b').running)
        },
      ),
    )
    t.equal(error.code, 'ERR_EXPLORATION_FAILED')
    t.same(error.data['faults'], [faults[2]])
    t.equal(error.data['faultsBefore'], 4)
    t.equal(printed.length, 1)
    t.match(
      printed[0],
      /^replay: TROUPE_REPLAY='\{"name":"planted","seed":\d+,"faults":\[\{"kind":"crash".*simulate\.test/,
    )
  },
)

t.test('explore: what never happened in any run was not tested, and fails it', async t => {
  const options = { name: 'idle', seeds: 3, nodes: ['a'], plan: () => [] }
  const rare = await failure(explore(options, sim => sim.sometimes('the moon is blue', false)))
  t.match(rare, { code: 'ERR_EXPLORATION_FAILED', message: /never saw the moon is blue in 3 seeds/ })
  const unreached = await failure(explore({ ...options, expect: ['a comet'] }, () => {}))
  t.match(unreached, { message: /never saw a comet/ })
  const harmless: Fault = { kind: 'drop', atMs: 0, forMs: 1, probability: 1 }
  const unfired = await failure(explore({ ...options, plan: () => [harmless] }, sim => sim.sleep(5)))
  t.match(unfired, { message: /never saw a fault of kind 'drop'/ })

  const report = await explore(options, sim => sim.sometimes('it ran'))
  t.same(report.sometimes, { 'it ran': 3 })
})

t.test('randomPlan: a function of its randomness alone, within its bounds', t => {
  const plan = randomPlan({ withinMs: 100, maxFaults: 3, kinds: ['crash', 'drop'] })
  const plans = Array.from({ length: 50 }, (_, seed) => plan(new SeededRandom(seed), ['a', 'b']))
  t.same(
    plans,
    Array.from({ length: 50 }, (_, seed) => plan(new SeededRandom(seed), ['a', 'b'])),
  )
  t.ok(plans.every(faults => faults.length <= 3 && faults.every(({ atMs }) => atMs < 100)))
  t.same([...new Set(plans.flat().map(({ kind }) => kind))].sort(), ['crash', 'drop'])
  t.end()
})

t.test('shrinkPlan: keeps what is needed together, and makes it as short as it may be', async t => {
  const fault = (atMs: number): Fault => ({ kind: 'drop', atMs, forMs: 64, probability: 1 })
  const plan = Array.from({ length: 12 }, (_, i) => fault(i))
  const shrunk = await shrinkPlan(plan, candidate => {
    const needed = candidate.filter(each => each.atMs === 3 || each.atMs === 8)
    return Promise.resolve(needed.length === 2 && needed.every(each => 'forMs' in each && each.forMs >= 16))
  })
  t.same(shrunk, [
    { ...fault(3), forMs: 16 },
    { ...fault(8), forMs: 16 },
  ])
})
