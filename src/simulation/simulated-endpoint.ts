import { TroupeError } from '../errors.js'
import type { Endpoint, FrameReceiver, Lane, NodeAddress } from '../transport/port.js'
import type { Machine } from './machine.js'
import type { SimulatedNetwork } from './network.js'

/** One machine's end of the simulated network. */
export class SimulatedEndpoint implements Endpoint {
  readonly self: NodeAddress
  readonly machine: Machine
  readonly receiver: FrameReceiver
  readonly #network: SimulatedNetwork
  #closed = false

  constructor(network: SimulatedNetwork, machine: Machine, self: NodeAddress, receiver: FrameReceiver) {
    this.#network = network
    this.machine = machine
    this.self = self
    this.receiver = receiver
  }

  get usable(): boolean {
    return !this.#closed && this.machine.state !== 'down'
  }

  send(to: NodeAddress, frame: Uint8Array, lane: Lane): boolean {
    if (this.#closed) throw new TroupeError('ERR_CLOSED', `the transport of node ${this.self.id} is closed`)
    // the code of a machine that is down may still run to its next await: it reaches nobody
    if (this.machine.state === 'down') return true
    return this.#network.link(this, to, lane).send(frame)
  }

  broadcast(frame: Uint8Array): void {
    for (const peer of this.#network.peersOf(this)) this.send(peer.self, frame, 'system')
  }

  drain(): Promise<void> {
    // a frame has left a simulated node as soon as it is sent
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#closed = true
    return Promise.resolve()
  }
}
