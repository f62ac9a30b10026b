import type { Scheduler } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import {
  DEFAULT_TRANSPORT_LIMITS,
  type Endpoint,
  type FrameReceiver,
  type Lane,
  type NodeAddress,
  type Transport,
  type TransportLimits,
} from './port.js'

/** Frames delivered in one turn before I/O gets its own. */
const BATCH = 256

/**
 * Connects the nodes of one process. Give the same instance to each of them. Frames are never lost, copied or
 * reordered, and never delivered before `send` returns.
 */
export class MemoryTransport implements Transport {
  readonly #scheduler: Scheduler
  readonly #limits: TransportLimits
  readonly #endpoints = new Map<string, MemoryEndpoint>()

  constructor(scheduler: Scheduler, limits: Partial<TransportLimits> = {}) {
    this.#scheduler = scheduler
    this.#limits = { ...DEFAULT_TRANSPORT_LIMITS, ...limits }
  }

  async open(self: NodeAddress, receiver: FrameReceiver): Promise<Endpoint> {
    if (this.#endpoints.has(self.id)) {
      throw new TroupeError('ERR_ADDRESS_TAKEN', `node ${self.id} is open on this transport already`)
    }
    const endpoint = new MemoryEndpoint(self, receiver, this.#endpoints, this.#scheduler, this.#limits)
    this.#endpoints.set(self.id, endpoint)
    return endpoint
  }
}

class MemoryEndpoint implements Endpoint {
  readonly self: NodeAddress
  readonly receiver: FrameReceiver
  readonly #peers: Map<string, MemoryEndpoint>
  readonly #scheduler: Scheduler
  readonly #limits: TransportLimits
  readonly #links = new Map<string, MemoryLink>()
  closed = false

  constructor(
    self: NodeAddress,
    receiver: FrameReceiver,
    peers: Map<string, MemoryEndpoint>,
    scheduler: Scheduler,
    limits: TransportLimits,
  ) {
    this.self = self
    this.receiver = receiver
    this.#peers = peers
    this.#scheduler = scheduler
    this.#limits = limits
  }

  send(to: NodeAddress, frame: Uint8Array, lane: Lane): boolean {
    if (this.closed) throw new TroupeError('ERR_CLOSED', `the transport of node ${this.self.id} is closed`)
    return this.#link(to, lane).send(frame)
  }

  broadcast(frame: Uint8Array): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer !== this) this.send(peer.self, frame, 'system')
    }
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#links.values()].map(link => link.drained()))
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.#peers.delete(this.self.id)
    for (const link of this.#links.values()) link.clear()
    this.#links.clear()
  }

  #link(to: NodeAddress, lane: Lane): MemoryLink {
    const key = `${lane} ${to.incarnation} ${to.id}`
    let link = this.#links.get(key)
    if (link === undefined) {
      const deliver = (frame: Uint8Array): void => {
        const peer = this.#peers.get(to.id)
        if (peer !== undefined && peer.self.incarnation === to.incarnation) {
          peer.receiver.frame(this.self, frame, lane)
        }
      }
      const writable = (): void => this.receiver.writable(to, lane)
      const idle = (): void => void this.#links.delete(key)
      link = new MemoryLink(this.#scheduler, this.#limits, deliver, writable, idle)
      this.#links.set(key, link)
    }
    return link
  }
}

/** One lane from one node to another: a bounded queue, emptied in later turns. Forgotten while it is empty. */
class MemoryLink {
  readonly #scheduler: Scheduler
  readonly #limits: TransportLimits
  readonly #deliver: (frame: Uint8Array) => void
  readonly #writable: () => void
  readonly #idle: () => void
  #queue: Uint8Array[] = []
  #head = 0
  #bytes = 0
  #scheduled = false
  #refused = false
  readonly #waiting: (() => void)[] = []

  constructor(
    scheduler: Scheduler,
    limits: TransportLimits,
    deliver: (frame: Uint8Array) => void,
    writable: () => void,
    idle: () => void,
  ) {
    this.#scheduler = scheduler
    this.#limits = limits
    this.#deliver = deliver
    this.#writable = writable
    this.#idle = idle
  }

  send(frame: Uint8Array): boolean {
    const messages = this.#queue.length - this.#head
    if (
      messages >= this.#limits.maxMessages ||
      (messages > 0 && this.#bytes + frame.byteLength > this.#limits.maxBytes)
    ) {
      this.#refused = true
      return false
    }
    this.#queue.push(frame)
    this.#bytes += frame.byteLength
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#scheduler.microtask(() => this.#flush())
    }
    return true
  }

  drained(): Promise<void> {
    if (this.#queue.length === this.#head) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  clear(): void {
    this.#queue = []
    this.#head = this.#bytes = 0
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #flush(): void {
    for (let n = 0; n < BATCH && this.#head < this.#queue.length; n++) {
      const frame = this.#queue[this.#head++]!
      this.#bytes -= frame.byteLength
      this.#deliver(frame)
    }
    if (this.#head < this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
      this.#scheduler.immediate(() => this.#flush())
    } else {
      this.#scheduled = false
      this.clear()
      this.#idle()
    }
    if (this.#refused) {
      this.#refused = false
      this.#writable()
    }
  }
}
