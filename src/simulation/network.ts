import { TroupeError } from '../errors.js'
import {
  DEFAULT_TRANSPORT_LIMITS,
  type Lane,
  type NodeAddress,
  type Transport,
  type TransportLimits,
} from '../transport/port.js'
import type { Machine } from './machine.js'
import type { NetworkFault } from './fault.js'
import { Link } from './link.js'
import { SimulatedEndpoint } from './simulated-endpoint.js'
import type { World } from './world.js'

export interface NetworkOptions extends Partial<TransportLimits> {
  /** Milliseconds that a frame takes at least. @default 0.1 */
  readonly minDelayMs?: number
  /** Milliseconds that a frame takes at most, without faults. @default 2 */
  readonly maxDelayMs?: number
}

export const DEFAULT_MIN_DELAY_MS = 0.1
export const DEFAULT_MAX_DELAY_MS = 2

/** A fault in force. It counts how often it did something: one that never did has tested nothing. */
export interface ActiveFault {
  readonly fault: NetworkFault
  fired: number
}

/** What happened to frames, in numbers. */
export interface NetworkCounts {
  sent: number
  delivered: number
  dropped: number
  duplicated: number
  reordered: number
  refused: number
}

/**
 * A network of faults. Each link is in order unless a fault reorders; a frame may be late, lost or doubled by the
 * faults in force. Every decision comes from the link's own stream of randomness, one set of draws a frame, so that
 * taking one fault away changes as little as possible of the rest.
 */
export class SimulatedNetwork {
  readonly counts: NetworkCounts = {
    sent: 0,
    delivered: 0,
    dropped: 0,
    duplicated: 0,
    reordered: 0,
    refused: 0,
  }
  /** Links with frames in flight. */
  readonly busy: Link[] = []
  readonly world: World
  readonly limits: TransportLimits
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly #active: ActiveFault[] = []
  readonly #links = new Map<string, Link>()
  readonly #endpoints = new Map<string, SimulatedEndpoint>()

  constructor(world: World, options: NetworkOptions) {
    this.world = world
    this.limits = {
      maxMessages: options.maxMessages ?? DEFAULT_TRANSPORT_LIMITS.maxMessages,
      maxBytes: options.maxBytes ?? DEFAULT_TRANSPORT_LIMITS.maxBytes,
    }
    this.minDelayMs = options.minDelayMs ?? DEFAULT_MIN_DELAY_MS
    this.maxDelayMs = options.maxDelayMs ?? DEFAULT_MAX_DELAY_MS
    world.connect(this)
  }

  /** The transport of one machine. */
  transportOf(machine: Machine): Transport {
    return {
      open: (self, receiver) => {
        const known = this.#endpoints.get(self.id)
        if (known !== undefined && known.usable) {
          throw new TroupeError('ERR_ADDRESS_TAKEN', `node ${self.id} is open on this transport already`)
        }
        const endpoint = new SimulatedEndpoint(this, machine, self, receiver)
        this.#endpoints.set(self.id, endpoint)
        return Promise.resolve(endpoint)
      },
    }
  }

  begin(active: ActiveFault): void {
    this.#active.push(active)
  }

  end(active: ActiveFault): void {
    const at = this.#active.indexOf(active)
    if (at >= 0) this.#active.splice(at, 1)
  }

  /** The faults in force from one node to another, of one kind. */
  *faults<K extends NetworkFault['kind']>(
    kind: K,
    from: string,
    to: string,
  ): Generator<ActiveFault & { readonly fault: NetworkFault & { readonly kind: K } }> {
    for (const active of this.#active) {
      const { fault } = active
      if (fault.kind !== kind || !concerns(fault.from, from) || !concerns(fault.to, to)) continue
      yield active as ActiveFault & { readonly fault: NetworkFault & { readonly kind: K } }
    }
  }

  /** Is every frame from one node to the other lost now? */
  cut(from: string, to: string): boolean {
    for (const active of this.faults('partition', from, to)) {
      active.fired++
      return true
    }
    return false
  }

  endpointOf(address: NodeAddress): SimulatedEndpoint | undefined {
    const endpoint = this.#endpoints.get(address.id)
    return endpoint?.self.incarnation === address.incarnation && endpoint.usable ? endpoint : undefined
  }

  peersOf(endpoint: SimulatedEndpoint): SimulatedEndpoint[] {
    return [...this.#endpoints.values()].filter(peer => peer !== endpoint && peer.usable)
  }

  link(from: SimulatedEndpoint, to: NodeAddress, lane: Lane): Link {
    const key = `${from.machine.name}>${to.id}/${to.incarnation} ${lane}`
    let link = this.#links.get(key)
    if (link === undefined) {
      link = new Link(this, key, from, to, lane)
      this.#links.set(key, link)
    }
    return link
  }

  deliver(link: Link): void {
    link.deliver()
  }
}

function concerns(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.includes(name)
}
