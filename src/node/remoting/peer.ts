import type { Cell } from '../../actor/cell.js'
import type { Watcher } from '../../actor/ref.js'
import type { NodeAddress } from '../../transport/port.js'
import type { InboundStreams } from './inbound-streams.js'
import type { Pair } from './pair.js'
import type { RemoteAsk } from './remote-ask.js'
import type { Route } from './route.js'
import type { SystemChannel } from './system-channel.js'

/** Another node incarnation, and all that ends with it. */
export class Peer {
  readonly address: NodeAddress
  readonly channel: SystemChannel
  /** What it sends here. */
  readonly inbound: InboundStreams
  /** What is sent to it, by stream. */
  readonly pairs = new Map<number, Pair>()
  /** Asks that were sent to it. */
  readonly asks = new Set<RemoteAsk>()
  /** Its actors that are watched from here, by watch. */
  readonly watched = new Map<number, Route>()
  /** Actors here that it watches, by its watch. */
  readonly watchers = new Map<number, { readonly cell: Cell; readonly watcher: Watcher }>()
  /** It is over: nothing is sent to it or taken from it. */
  lost = false
  #streams = 0

  constructor(address: NodeAddress, channel: SystemChannel, inbound: InboundStreams) {
    this.address = address
    this.channel = channel
    this.inbound = inbound
  }

  /** Numbers streams to this peer from 1 on, without gaps: that keeps its set of closed ones small. */
  openStream(pair: Pair): number {
    this.pairs.set(++this.#streams, pair)
    return this.#streams
  }
}

/** Where an actor is: on this node incarnation, this incarnation of it, and this life (which survives restarts). */
export interface Place {
  readonly peer: Peer
  readonly incarnation: number
  readonly life: number
}
