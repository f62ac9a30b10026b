import type { Random } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import { Checks, type Condition } from './checks.js'
import type { Fault, FaultPlan } from './fault.js'
import { FaultInjector } from './fault-injector.js'
import { SimulatedNetwork, type NetworkCounts, type NetworkOptions } from './network.js'
import { Oracle, type OracleOptions } from './oracle.js'
import { SimulatedNode, type BootNode, type SimulatedTroupeOptions } from './simulated-node.js'
import { World } from './world.js'

export interface SimulateOptions {
  /** Decides everything that is left to chance. */
  readonly seed: number
  /** Ids of the nodes that are booted before the scenario begins. @default ['a', 'b', 'c'] */
  readonly nodes?: readonly string[]
  /** Runs at each boot of a node, the first ones included. */
  readonly boot?: BootNode
  /** What goes wrong, and when. @default nothing */
  readonly faults?: FaultPlan
  readonly network?: NetworkOptions
  readonly oracle?: OracleOptions
  /** For the runtime of each node. */
  readonly troupe?: SimulatedTroupeOptions
  /** A run that has not ended after so many events has failed. @default 1000000 */
  readonly maxEvents?: number
  /** A run that has not ended after this much virtual time has failed. @default 600000 */
  readonly maxVirtualMs?: number
  /** Keeps every line of the trace, not just the last 200. @default false */
  readonly keepTrace?: boolean
}

export const DEFAULT_NODES: readonly string[] = ['a', 'b', 'c']
export const DEFAULT_MAX_EVENTS = 1_000_000
export const DEFAULT_MAX_VIRTUAL_MS = 600_000

/** What a scenario does. Runs outside of all nodes, in virtual time. */
export type Scenario = (simulation: Simulation) => void | Promise<void>

/** What a run came to. */
export interface SimulationReport {
  readonly seed: number
  readonly events: number
  readonly virtualMs: number
  /** Of the whole event trace, in hexadecimal: equal for equal seeds. */
  readonly traceSha256: string
  /** The trace: its last lines, or all of it with `keepTrace`. */
  readonly trace: readonly string[]
  /** How often faults of each kind had an effect. */
  readonly faults: Readonly<Record<string, number>>
  readonly network: Readonly<NetworkCounts>
  /** Each `sometimes`: did it hold at least once? */
  readonly sometimes: ReadonlyMap<string, boolean>
}

/** One run: the cluster, its time, and what is checked. In the hands of the scenario. */
export class Simulation {
  readonly seed: number
  /** For the scenario's own choices. */
  readonly random: Random
  readonly nodes: readonly SimulatedNode[]
  /** @internal */
  readonly world: World
  readonly #oracle: Oracle
  readonly #network: SimulatedNetwork
  readonly #checks: Checks
  readonly #faults: FaultInjector

  /** @internal */
  constructor(options: SimulateOptions) {
    const limits = {
      maxEvents: options.maxEvents ?? DEFAULT_MAX_EVENTS,
      maxVirtualMs: options.maxVirtualMs ?? DEFAULT_MAX_VIRTUAL_MS,
    }
    this.seed = options.seed
    this.world = new World(options.seed, limits, options.keepTrace ?? false)
    this.random = this.world.random.fork('scenario')
    this.#network = new SimulatedNetwork(this.world, options.network ?? {})
    this.#oracle = new Oracle(this.world, options.oracle ?? {})
    this.#checks = new Checks(this.world)
    this.nodes = (options.nodes ?? DEFAULT_NODES).map(
      id =>
        new SimulatedNode(id, {
          simulation: this,
          world: this.world,
          network: this.#network,
          oracle: this.#oracle,
          options: options.troupe ?? {},
          boot: options.boot,
        }),
    )
    this.#faults = new FaultInjector(this.world, this.#network, {
      crash: id => this.node(id).crash(),
      boot: id => {
        void this.node(id).boot()
        return true
      },
      pause: id => this.node(id).pause(),
      resume: id => this.node(id).resume(),
      expel: id => this.node(id).expel(),
      skew: (id, skewMs) => this.node(id).skew(skewMs),
    })
    this.#faults.load(options.faults ?? [])
  }

  /** Virtual milliseconds since the run began. */
  get nowMs(): number {
    return this.world.nowMs
  }

  /** @throws ERR_INVALID_OPTION for an id that is not among the nodes */
  node(id: string): SimulatedNode {
    const node = this.nodes.find(other => other.id === id)
    if (node === undefined) {
      const ids = this.nodes.map(other => other.id).join(', ')
      throw new TroupeError('ERR_INVALID_OPTION', `no node '${id}' in this simulation; its nodes are ${ids}`)
    }
    return node
  }

  /** Resolves after `ms` of virtual time. */
  sleep(ms: number): Promise<void> {
    return new Promise(resolve => void this.world.after(ms, resolve))
  }

  /** Must hold: a condition from now on after every event; a value now, else it throws. */
  always(name: string, condition: boolean | Condition, detail?: string): void {
    this.#checks.always(name, condition, detail)
  }

  /** Must come to hold within a time, a minute if not given; the run does not end before. */
  eventually(name: string, condition: Condition, withinMs?: number): Promise<void> {
    return this.#checks.eventually(name, condition, withinMs)
  }

  /** Must hold in at least one run of an exploration. */
  sometimes(name: string, condition?: boolean): void {
    this.#checks.sometimes(name, condition)
  }

  /** Adds a line to the trace. */
  note(what: string): void {
    this.world.note(what)
  }

  /** Lets one more fault happen, at its time or now if that has passed. */
  inject(fault: Fault): void {
    this.#faults.load([fault])
  }

  /** Has the cluster declared this incarnation of a node down? */
  isOver(id: string, incarnation: number): boolean {
    return this.#oracle.isOver({ id, incarnation })
  }

  /** When the runtime that runs on `observer` was told that this incarnation is over; undefined if it was not. */
  toldOverAtMs(observer: SimulatedNode, id: string, incarnation: number): number | undefined {
    return observer.machine && this.#oracle.toldOverAtMs(observer.machine, { id, incarnation })
  }

  /** @internal Boots the nodes, runs the scenario, ends when everything that must come to hold does. */
  async run(scenario: Scenario): Promise<SimulationReport> {
    let done = false
    this.world.observe(() => {
      if (done && this.#checks.settled) this.world.end()
    })
    await this.world.run(() => {
      void (async () => {
        try {
          await Promise.all(this.nodes.map(node => node.boot()))
          await scenario(this)
          done = true
        } catch (error) {
          this.world.fail(error)
        }
      })()
    })
    return this.report()
  }

  /** @internal */
  report(): SimulationReport {
    return {
      seed: this.seed,
      events: this.world.events,
      virtualMs: this.world.nowMs,
      traceSha256: this.world.trace.sha256(),
      trace: this.world.trace.lines,
      faults: this.#faults.counts(),
      network: { ...this.#network.counts },
      sometimes: this.#checks.seen,
    }
  }
}
