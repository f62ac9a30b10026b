import type { Random } from '../determinism/index.js'
import type { Lane, NodeAddress } from '../transport/port.js'
import type { SimulatedNetwork } from './network.js'
import type { SimulatedEndpoint } from './simulated-endpoint.js'
import { TimerQueue } from './timer-queue.js'
import { fingerprint } from './trace.js'

interface Flying {
  readonly frame: Uint8Array
  /** As the trace calls it. */
  readonly text: string
}

const nothing = (): void => undefined

/** One lane from one node incarnation to another: frames in flight. */
export class Link {
  readonly #network: SimulatedNetwork
  readonly #name: string
  readonly #from: SimulatedEndpoint
  readonly #to: NodeAddress
  readonly #lane: Lane
  readonly #random: Random
  readonly #flying = new TimerQueue<Flying>()
  #bytes = 0
  #lastDueMs = 0
  #refused = false

  constructor(network: SimulatedNetwork, name: string, from: SimulatedEndpoint, to: NodeAddress, lane: Lane) {
    this.#network = network
    this.#name = name
    this.#from = from
    this.#to = to
    this.#lane = lane
    this.#random = network.world.random.fork(name)
  }

  dueMs(): number {
    return this.#flying.peek()?.dueMs ?? Infinity
  }

  /** Frames to a paused node wait for it; those to a dead one get lost. */
  deliverable(): boolean {
    return this.#network.endpointOf(this.#to)?.machine.state !== 'paused'
  }

  send(frame: Uint8Array): boolean {
    const network = this.#network
    const { counts, limits } = network
    if (
      this.#flying.size >= limits.maxMessages ||
      (this.#flying.size > 0 && this.#bytes + frame.byteLength > limits.maxBytes)
    ) {
      this.#refused = true
      counts.refused++
      return false
    }
    counts.sent++
    const [from, to] = [this.#from.self.id, this.#to.id]
    const draw = {
      delay: this.#random.next(),
      drop: this.#random.next(),
      duplicate: this.#random.next(),
      reorder: this.#random.next(),
    }
    const text = `${this.#name} ${frame.byteLength} ${fingerprint(frame)}`
    network.world.note(`send ${text}`)
    if (network.cut(from, to) || this.#hit('drop', draw.drop)) {
      counts.dropped++
      network.world.note(`lost ${text}`)
      return true
    }
    let delayMs = network.minDelayMs + draw.delay * (network.maxDelayMs - network.minDelayMs)
    for (const active of network.faults('delay', from, to)) {
      active.fired++
      delayMs += active.fault.delayMs * draw.delay
    }
    let dueMs = network.world.nowMs + delayMs
    const reorder = this.#hit('reorder', draw.reorder)
    if (reorder !== undefined) {
      counts.reordered++
      dueMs += reorder.delayMs
    } else {
      dueMs = this.#lastDueMs = Math.max(dueMs, this.#lastDueMs)
    }
    this.#fly(dueMs, frame, text)
    const duplicate = this.#hit('duplicate', draw.duplicate)
    if (duplicate !== undefined) {
      counts.duplicated++
      this.#fly(dueMs + duplicate.delayMs * draw.duplicate, frame.slice(), text)
    }
    return true
  }

  deliver(): void {
    const { world, counts } = this.#network
    const { frame, text } = this.#flying.pop()!.owner
    this.#bytes -= frame.byteLength
    if (this.#flying.size === 0) this.#network.busy.splice(this.#network.busy.indexOf(this), 1)
    const endpoint = this.#network.endpointOf(this.#to)
    if (endpoint === undefined || this.#network.cut(this.#from.self.id, this.#to.id)) {
      counts.dropped++
      world.note(`lost ${text}`)
    } else {
      counts.delivered++
      world.note(`frame ${text}`)
      endpoint.receiver.frame(this.#from.self, frame, this.#lane)
    }
    if (this.#refused && this.#from.usable) {
      this.#refused = false
      this.#from.machine.scheduler.immediate(() => this.#from.receiver.writable(this.#to, this.#lane))
    }
  }

  #fly(dueMs: number, frame: Uint8Array, text: string): void {
    if (this.#flying.size === 0) this.#network.busy.push(this)
    this.#flying.add(dueMs, { frame, text }, nothing)
    this.#bytes += frame.byteLength
  }

  #hit<K extends 'drop' | 'duplicate' | 'reorder'>(kind: K, draw: number) {
    for (const active of this.#network.faults(kind, this.#from.self.id, this.#to.id)) {
      if (draw >= active.fault.probability) continue
      active.fired++
      return active.fault
    }
    return undefined
  }
}
