import { isNodeFault, type Fault, type FaultPlan, type NodeFault } from './fault.js'
import type { ActiveFault, SimulatedNetwork } from './network.js'
import type { World } from './world.js'

/** What a fault can do to a node; each answers whether it did anything. */
export interface Victims {
  crash(node: string): boolean
  boot(node: string): boolean
  pause(node: string): boolean
  resume(node: string): boolean
  expel(node: string): boolean
  skew(node: string, skewMs: number): boolean
}

/** Lets the faults of a plan happen at their times, and counts which had an effect. */
export class FaultInjector {
  readonly #world: World
  readonly #network: SimulatedNetwork
  readonly #victims: Victims
  readonly #begun: ActiveFault[] = []
  readonly #fired = new Map<Fault, number>()

  constructor(world: World, network: SimulatedNetwork, victims: Victims) {
    this.#world = world
    this.#network = network
    this.#victims = victims
  }

  load(plan: FaultPlan): void {
    for (const fault of plan) {
      this.#fired.set(fault, 0)
      this.#world.after(fault.atMs - this.#world.nowMs, () => this.#begin(fault))
    }
  }

  /** How often faults of each kind in the plan had an effect. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const [fault, fired] of this.#fired) counts[fault.kind] = (counts[fault.kind] ?? 0) + fired
    for (const { fault, fired } of this.#begun) counts[fault.kind] = (counts[fault.kind] ?? 0) + fired
    return counts
  }

  #begin(fault: Fault): void {
    this.#world.note(`fault ${JSON.stringify(fault)}`)
    if (isNodeFault(fault)) {
      if (this.#strike(fault)) this.#fired.set(fault, 1)
      return
    }
    const active: ActiveFault = { fault, fired: 0 }
    this.#begun.push(active)
    this.#network.begin(active)
    this.#world.after(fault.forMs, () => {
      this.#world.note(`end of ${fault.kind}`)
      this.#network.end(active)
    })
  }

  #strike(fault: NodeFault): boolean {
    const { node } = fault
    switch (fault.kind) {
      case 'crash':
        this.#bootLater(node, fault.restartAfterMs)
        return this.#victims.crash(node)
      case 'expel':
        this.#bootLater(node, fault.restartAfterMs)
        return this.#victims.expel(node)
      case 'pause':
        this.#world.after(fault.forMs, () => this.#victims.resume(node))
        return this.#victims.pause(node)
      case 'skew':
        return this.#victims.skew(node, fault.skewMs)
    }
  }

  #bootLater(node: string, afterMs: number | undefined): void {
    if (afterMs !== undefined) this.#world.after(afterMs, () => this.#victims.boot(node))
  }
}
