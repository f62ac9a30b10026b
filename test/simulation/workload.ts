import { inject } from 'tsyringe'
import {
  Actor,
  ActorContext,
  actor,
  Args,
  handles,
  Rejected,
  type DeferredReply,
  type Terminated,
} from 'troupe'
import {
  randomPlan,
  type ExploreOptions,
  type Scenario,
  type Simulation,
  type SimulatedNode,
} from 'troupe/testing'
import { Witness, type Note } from './witness.js'

const NODES = ['a', 'b', 'c']

/** How long the drivers act, and within which faults begin. */
const ACTIVE_MS = 1_500

/** Asks that only a death or a reply can end within a run. */
const LONG_MS = 3_000_000

interface Place {
  readonly witness: Witness
  readonly node: string
  readonly incarnation: number
}

@actor('workload-target')
class Target extends Actor {
  readonly #place: Place

  constructor(@inject(Args) place: Place) {
    super()
    this.#place = place
  }

  @handles() async take(note: Note): Promise<void> {
    this.#place.witness.taken(note, this.#place.node, this.#place.incarnation)
    // now and then it yields, so that messages pile up behind it
    if (note.n % 7 === 0) await this.#place.witness.simulation.sleep(1)
  }

  @handles() echo(from: Pick<Note, 'node' | 'incarnation' | 'sentMs'>, value: number): number {
    this.#place.witness.notStale(from, this.#place.node)
    return value
  }

  @handles() later(delayMs: number): DeferredReply<number> {
    const reply = this.ctx.deferReply<number>()
    this.ctx.after(delayMs, () => reply.resolve(delayMs))
    return reply
  }

  @handles() refuse(): void {
    throw new Rejected('REFUSED')
  }

  @handles() fail(): void {
    throw new Error('told to fail')
  }
}

@actor('workload-child')
class Child extends Actor {
  @handles() fail(): void {
    throw new Error('told to fail')
  }
}

@actor('workload-nursery')
class Nursery extends Actor {
  readonly #place: Place
  static readonly supervision = { maxRestarts: 10_000, withinMs: 1_000, backoff: { maxMs: 20 } }

  constructor(@inject(Args) place: Place) {
    super()
    this.#place = place
  }

  @handles() async raise(): Promise<string> {
    const { witness, node, incarnation } = this.#place
    const child = await this.ctx.spawn(Child, { name: `child-${witness.newChild()}`, restart: 'permanent' })
    witness.born(child.path, node, incarnation)
    return child.path
  }

  /** stop ends it for good; fail and kill restart it in place. */
  @handles() async treat(path: string, how: 'stop' | 'fail' | 'kill'): Promise<void> {
    const child = this.ctx.children.find(ref => ref.path === path)
    if (child === undefined) return
    if (how === 'stop') {
      this.#place.witness.dies(path)
      await this.ctx.stop(child)
    } else if (how === 'kill') this.ctx.kill(child)
    else this.ctx.lookup(Child, path).tell.fail()
  }
}

@actor('workload-driver')
class Driver extends Actor {
  readonly #ctx: ActorContext
  readonly #place: Place
  readonly #me: string

  constructor(@inject(ActorContext) ctx: ActorContext, @inject(Args) place: Place) {
    super()
    this.#ctx = ctx
    this.#place = place
    this.#me = `${place.node}/${place.incarnation}#${ctx.incarnation}`
  }

  override onStart(): void {
    this.#place.witness.driverStarted(this.#place.node, this.#me)
    this.#actSoon()
  }

  #actSoon(): void {
    if (this.#place.witness.quiet) return
    this.#ctx.after(25, () => {
      this.#actSoon()
      this.#act()
    })
  }

  override onTerminated({ path, reason }: Terminated): void {
    this.#place.witness.fired(this.#me, path, reason.kind)
  }

  #act(): void {
    const { witness, node, incarnation } = this.#place
    const { random } = this.#ctx
    const other = NODES[random.below(NODES.length)]!
    const target = this.#ctx.lookup(Target, `/target-${other}`)
    const nursery = this.#ctx.lookup(Nursery, `/nursery-${other}`)
    const dice = random.below(100)
    if (dice < 45) this.#tell(other, 1 + random.below(4))
    else if (dice < 60) {
      const from = { node, incarnation, sentMs: witness.simulation.nowMs }
      this.#ask(other, 400, target.ask.with({ timeoutMs: 400 }).echo(from, dice))
    } else if (dice < 68) {
      this.#ask(other, LONG_MS, target.ask.with({ timeoutMs: LONG_MS }).later(random.below(200)))
    } else if (dice < 72) this.#ask(other, LONG_MS, target.ask.with({ timeoutMs: LONG_MS }).refuse())
    else if (dice < 76) this.#ask(other, LONG_MS, target.ask.with({ timeoutMs: LONG_MS }).fail())
    else if (dice < 82) this.#ask(other, 1_000, nursery.ask.with({ timeoutMs: 1_000 }).raise())
    else if (dice < 91) this.#watch(random.below(4) === 0)
    else if (dice < 96) {
      const path = this.#someChild()
      if (path === undefined) return
      const how = (['stop', 'stop', 'fail', 'kill'] as const)[random.below(4)]!
      this.#ctx.lookup(Nursery, path.slice(0, path.lastIndexOf('/'))).tell.treat(path, how)
    } else if (dice < 99) this.#tell(other, 60)
    else throw new Error('told to fail by the dice')
  }

  #tell(other: string, count: number): void {
    const { witness, node, incarnation } = this.#place
    const target = this.#ctx.lookup(Target, `/target-${other}`)
    const pair = `${node}/${incarnation}>${other}`
    for (let i = 0; i < count; i++) {
      target.tell.take({ pair, n: witness.next(pair), node, incarnation, sentMs: witness.simulation.nowMs })
    }
  }

  #ask(other: string, timeoutMs: number, reply: Promise<unknown>): void {
    const { witness, node, incarnation } = this.#place
    witness.asked(node, incarnation, other, timeoutMs, reply)
  }

  #watch(end: boolean): void {
    const { witness, node, incarnation } = this.#place
    const path = this.#someChild()
    if (path === undefined) return
    const ref = this.#ctx.lookup(Child, path)
    if (end) {
      this.#ctx.unwatch(ref)
      witness.unwatched(this.#me, path)
    } else {
      witness.watched(this.#me, node, incarnation, path)
      this.#ctx.watch(ref)
    }
  }

  /** The young are liked best: they are seldom dead. */
  #someChild(): string | undefined {
    const paths = [...this.#place.witness.children.keys()].slice(-8)
    return paths[this.#ctx.random.below(paths.length)]
  }
}

const witnesses = new WeakMap<Simulation, Witness>()

function witnessOf(simulation: Simulation): Witness {
  let witness = witnesses.get(simulation)
  if (witness === undefined) {
    witness = new Witness(simulation)
    witnesses.set(simulation, witness)
  }
  return witness
}

/** Bounds small enough to be reached. */
const LIMITS = { maxPairMessages: 40, maxHeldMessages: 100, maxPendingAsks: 60, maxSystemMessages: 200 }

async function boot(node: SimulatedNode, simulation: Simulation): Promise<void> {
  const args: Place = { witness: witnessOf(simulation), node: node.id, incarnation: node.incarnation }
  const { troupe } = node
  await troupe.spawn(Target, { name: `target-${node.id}`, args, mailbox: { maxMessages: 50 } })
  await troupe.spawn(Nursery, { name: `nursery-${node.id}`, args })
  await troupe.spawn(Driver, { name: `driver-${node.id}`, args })
}

/** A failure that nobody asked for: the workload itself is wrong, or the runtime. */
let unexpected: unknown

/** What the workload's exploration is run with. */
export const workloadOptions = {
  nodes: NODES,
  boot,
  plan: randomPlan({ withinMs: ACTIVE_MS }),
  network: { maxMessages: 100 },
  troupe: {
    remoting: LIMITS,
    supervision: {
      maxRestarts: 10_000,
      withinMs: 1_000,
      backoff: { maxMs: 20 },
      decide: error => {
        if (!String(error).includes('told to fail')) unexpected = error
        return 'restart'
      },
    },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  },
} satisfies Partial<ExploreOptions>

/** Drivers on every node act for a while under faults; then all must come to rest as promised. */
export const workload: Scenario = async simulation => {
  const witness = witnessOf(simulation)
  unexpected = undefined
  simulation.always('actors fail only when told to', () => {
    if (unexpected !== undefined) throw unexpected as Error
    return true
  })
  simulation.always('promise 9: what waits is bounded', () => simulation.nodes.every(isBounded))
  await simulation.sleep(ACTIVE_MS)
  witness.quiet = true
  // the last faults and restarts are over
  await simulation.sleep(2_500)
  for (const node of NODES) {
    const late = witness.unsettled(node, false)
    simulation.always('promise 2: asks settle in time', late.length === 0, JSON.stringify(late[0]))
    await simulation.eventually('promise 3: deaths are told', () => witness.untold(node).length === 0, 10_000)
    const { suppressedErrors } = simulation.node(node).troupe.counters()
    simulation.always('nothing is suppressed', suppressedErrors === 0)
  }
  // only a lost node is left as an end for asks whose reply got lost
  simulation.node('b').crash()
  simulation.node('c').crash()
  await simulation.eventually(
    'promise 2: every ask settles',
    () => witness.unsettled('a', true).length === 0,
    10_000,
  )
  await simulation.eventually(
    'promise 3: lost nodes are told',
    () => witness.untold('a').length === 0,
    10_000,
  )
}

function isBounded(node: SimulatedNode): boolean {
  const load = node.running ? node.troupe.remoting?.load() : undefined
  if (load === undefined) return true
  return (
    load.heldMessages <= LIMITS.maxHeldMessages &&
    load.pendingAsks <= LIMITS.maxPendingAsks &&
    load.systemMessages <= LIMITS.maxSystemMessages
  )
}
