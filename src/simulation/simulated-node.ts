import { TroupeError } from '../errors.js'
import type { TroupeOptions } from '../node/options.js'
import { Troupe } from '../node/troupe.js'
import type { Machine, MachineState } from './machine.js'
import type { SimulatedNetwork } from './network.js'
import type { Oracle } from './oracle.js'
import type { Simulation } from './simulation.js'
import type { World } from './world.js'

/** Options of the runtimes in a simulation: what the simulation itself provides cannot be given. */
export type SimulatedTroupeOptions = Omit<
  TroupeOptions,
  'name' | 'seed' | 'clock' | 'random' | 'scheduler' | 'cluster'
> & {
  readonly remoting?: NonNullable<TroupeOptions['cluster']>['remoting']
}

/** Sets a node up each time it boots: what its program would do at start. */
export type BootNode = (node: SimulatedNode, simulation: Simulation) => void | Promise<void>

export interface NodeSetting {
  readonly simulation: Simulation
  readonly world: World
  readonly network: SimulatedNetwork
  readonly oracle: Oracle
  readonly options: SimulatedTroupeOptions
  readonly boot: BootNode | undefined
}

/** A node of the simulated cluster, over all its incarnations. */
export class SimulatedNode {
  readonly id: string
  readonly #setting: NodeSetting
  #machine: Machine | undefined
  #troupe: Troupe | undefined
  #incarnation = 0

  constructor(id: string, setting: NodeSetting) {
    this.id = id
    this.#setting = setting
  }

  /** Grows with each boot; 0 before the first. */
  get incarnation(): number {
    return this.#incarnation
  }

  get state(): MachineState {
    return this.#machine?.state ?? 'down'
  }

  /** The machine it runs on now. */
  get machine(): Machine | undefined {
    return this.#machine
  }

  /**
   * The runtime of the incarnation that runs now.
   *
   * @throws ERR_NODE_LOST while the node is down
   */
  get troupe(): Troupe {
    if (this.#troupe === undefined) throw new TroupeError('ERR_NODE_LOST', `node ${this.id} is down`)
    return this.#troupe
  }

  /** Is its runtime up? Between a crash and the end of the next boot it is not. */
  get running(): boolean {
    return this.#troupe !== undefined
  }

  /** Starts the next incarnation; one that still runs is cut off first. Never resolves if it crashes meanwhile. */
  async boot(): Promise<void> {
    const { simulation, world, network, oracle, options, boot } = this.#setting
    if (world.over) return
    if (this.#machine !== undefined) this.crash()
    const machine = world.boot({ id: this.id, incarnation: ++this.#incarnation })
    this.#machine = machine
    world.note(`boot ${machine.name}`)
    const { remoting, ...rest } = options
    try {
      const troupe = await Troupe.start({
        ...rest,
        name: `${this.id}-${this.#incarnation}`,
        clock: machine.clock,
        random: machine.random.fork('runtime'),
        scheduler: machine.scheduler,
        cluster: {
          transport: network.transportOf(machine),
          membership: oracle.join(machine),
          ...(remoting === undefined ? {} : { remoting }),
        },
      })
      if (this.#machine !== machine) return
      this.#troupe = troupe
      await boot?.(this, simulation)
    } catch (error) {
      // the code of a crashed machine may fail as it likes: it is not there any more
      if (this.#machine === machine) world.fail(error)
    }
  }

  /** Power cut. Answers false if it is down already. */
  crash(): boolean {
    const machine = this.#machine
    if (machine === undefined) return false
    this.#machine = this.#troupe = undefined
    this.#setting.world.note(`crash ${machine.name}`)
    this.#setting.world.halt(machine)
    this.#setting.oracle.crashed(machine)
    return true
  }

  /** Stops running until {@link resume}; what arrives waits. */
  pause(): boolean {
    if (this.#machine?.state !== 'up') return false
    this.#machine.state = 'paused'
    this.#setting.world.note(`pause ${this.#machine.name}`)
    return true
  }

  resume(): boolean {
    if (this.#machine?.state !== 'paused') return false
    this.#machine.state = 'up'
    this.#setting.world.note(`resume ${this.#machine.name}`)
    return true
  }

  /** The cluster declares it down though it lives. */
  expel(): boolean {
    if (this.#machine === undefined || this.#setting.oracle.isOver(this.#machine.address)) return false
    this.#setting.oracle.declareDown(this.#machine.address, 'lost')
    return true
  }

  /** Its wall clock is wrong by this much from now on. */
  skew(skewMs: number): boolean {
    if (this.#machine === undefined) return false
    this.#machine.skewMs = skewMs
    return true
  }
}
