import type { Random } from '../determinism/index.js'
import type { DownReason, Membership, MembershipEvent } from '../node/membership.js'
import type { NodeAddress } from '../transport/port.js'
import type { Machine } from './machine.js'
import type { World } from './world.js'

export interface OracleOptions {
  /** Milliseconds until a node learns of a change at the latest; each learns at its own time. @default 20 */
  readonly maxAnnounceMs?: number
  /** Milliseconds until a crash is noticed at the earliest. @default 20 */
  readonly minDetectMs?: number
  /** Milliseconds until a crash is noticed at the latest, less the announcement. @default 200 */
  readonly maxDetectMs?: number
}

export const DEFAULT_MAX_ANNOUNCE_MS = 20
export const DEFAULT_MIN_DETECT_MS = 20
export const DEFAULT_MAX_DETECT_MS = 200

/** How much later a node hears of its own end than others may. */
const OWN_DOWN_FACTOR = 20

/**
 * Stands in for the cluster's membership protocol: it knows what really happened, and tells each node of it after a
 * time of its own. For one observer the events of one node come in order; a paused one hears when it resumes.
 */
export class Oracle {
  readonly #world: World
  readonly #random: Random
  readonly #options: Required<OracleOptions>
  readonly #observers = new Map<Machine, Observer>()
  /** The incarnation of each node that is up, and those that are over. */
  readonly #up = new Map<string, NodeAddress>()
  readonly #over = new Map<string, number>()

  constructor(world: World, options: OracleOptions) {
    this.#world = world
    this.#random = world.random.fork('oracle')
    this.#options = {
      maxAnnounceMs: options.maxAnnounceMs ?? DEFAULT_MAX_ANNOUNCE_MS,
      minDetectMs: options.minDetectMs ?? DEFAULT_MIN_DETECT_MS,
      maxDetectMs: options.maxDetectMs ?? DEFAULT_MAX_DETECT_MS,
    }
  }

  /** A machine boots: it knows at once who is up; the others learn of it. */
  join(machine: Machine): Membership {
    const { address } = machine
    const former = this.#up.get(address.id)
    if (former !== undefined) this.declareDown(former, 'replaced')
    this.#up.set(address.id, address)
    const observer = new Observer(this.#world, machine, [...this.#up.values()])
    this.#observers.set(machine, observer)
    this.#announce({ kind: 'up', node: address })
    return observer
  }

  /** A machine died: noticed after a while. */
  crashed(machine: Machine): void {
    const observer = this.#observers.get(machine)
    observer?.close()
    this.#observers.delete(machine)
    const { minDetectMs, maxDetectMs } = this.#options
    const delayMs = minDetectMs + this.#random.next() * (maxDetectMs - minDetectMs)
    this.#world.after(delayMs, () => this.declareDown(machine.address, 'lost'))
  }

  /** From now on that incarnation is over, whether it still lives or not. */
  declareDown(node: NodeAddress, reason: DownReason): void {
    if ((this.#over.get(node.id) ?? 0) >= node.incarnation) return
    this.#over.set(node.id, node.incarnation)
    if (this.#up.get(node.id)?.incarnation === node.incarnation) this.#up.delete(node.id)
    this.#world.note(`down ${node.id}/${node.incarnation} ${reason}`)
    this.#announce({ kind: 'down', node, reason })
  }

  isOver(node: NodeAddress): boolean {
    return (this.#over.get(node.id) ?? 0) >= node.incarnation
  }

  /** When that machine was told that this node is over; undefined if it was not. */
  toldOverAtMs(machine: Machine, node: NodeAddress): number | undefined {
    return this.#observers.get(machine)?.toldOverAtMs(node)
  }

  #announce(event: MembershipEvent): void {
    for (const observer of this.#observers.values()) {
      const delayMs = this.#random.next() * this.#options.maxAnnounceMs
      if (observer.machine.address !== event.node) observer.learn(event, delayMs)
      // a node that is declared down while it lives is badly connected: it is the last to hear
      else if (event.kind === 'down') observer.learn(event, delayMs * OWN_DOWN_FACTOR)
    }
  }
}

/** The membership as one machine sees it. */
class Observer implements Membership {
  readonly machine: Machine
  readonly #world: World
  readonly #listeners = new Set<(event: MembershipEvent) => void>()
  readonly #members = new Map<string, NodeAddress>()
  readonly #over = new Map<string, { readonly incarnation: number; readonly atMs: number }[]>()
  /** When the last event was told: the next one is not earlier. */
  #lastMs = 0
  #closed = false

  constructor(world: World, machine: Machine, members: readonly NodeAddress[]) {
    this.#world = world
    this.machine = machine
    for (const member of members) this.#members.set(member.id, member)
  }

  get self(): NodeAddress {
    return this.machine.address
  }

  members(): readonly NodeAddress[] {
    return [...this.#members.values()]
  }

  subscribe(listener: (event: MembershipEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  toldOverAtMs(node: NodeAddress): number | undefined {
    return this.#over.get(node.id)?.find(over => over.incarnation >= node.incarnation)?.atMs
  }

  learn(event: MembershipEvent, delayMs: number): void {
    this.#lastMs = Math.max(this.#lastMs, this.#world.nowMs + delayMs)
    // a timer of the machine's own, so that a paused one hears later, and the order stays
    this.machine.clock.after(this.#lastMs - this.#world.nowMs, () => this.#tell(event))
  }

  close(): void {
    this.#closed = true
    this.#listeners.clear()
  }

  #tell(event: MembershipEvent): void {
    if (this.#closed) return
    const { node } = event
    this.#world.note(`told ${this.machine.name} ${event.kind} ${node.id}/${node.incarnation}`)
    if (event.kind === 'up') this.#members.set(node.id, node)
    else {
      const over = this.#over.get(node.id) ?? []
      this.#over.set(node.id, [...over, { incarnation: node.incarnation, atMs: this.#world.nowMs }])
      if (this.#members.get(node.id)?.incarnation === node.incarnation) this.#members.delete(node.id)
    }
    for (const listener of [...this.#listeners]) listener(event)
  }
}
