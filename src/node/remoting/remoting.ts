import type { Cell } from '../../actor/cell.js'
import type { DeathReason } from '../../actor/death.js'
import type { RefTarget, Watcher } from '../../actor/ref.js'
import type { ActorSystem } from '../../actor/system.js'
import type { Clock, Timer } from '../../determinism/index.js'
import { TroupeError } from '../../errors.js'
import type { Endpoint, FrameReceiver, Lane, NodeAddress, Transport } from '../../transport/port.js'
import { decodeFrame, encodeFrame, type Frame, type ValueHooks } from '../../wire/index.js'
import type { Membership, MembershipEvent } from '../membership.js'
import { newCounters, type RemotingCounters } from './counters.js'
import { Fence } from './fence.js'
import { InboundFrames } from './inbound-frames.js'
import { InboundStreams } from './inbound-streams.js'
import { Lives } from './lives.js'
import { MAX_PAUSE_MS, type RemotingLimits } from './options.js'
import { Peer, type Place } from './peer.js'
import { AskTable, type RemoteAsk } from './remote-ask.js'
import { RemoteTarget } from './remote-target.js'
import { Replies } from './replies.js'
import { Resolver } from './resolver.js'
import { Route } from './route.js'
import { SystemChannel } from './system-channel.js'

export interface RemotingSetup {
  readonly system: ActorSystem
  readonly hooks: ValueHooks
  readonly transport: Transport
  readonly membership: Membership
  readonly limits: RemotingLimits
  /** The cluster has declared this node down: its refs to others are dead. */
  readonly onFenced: () => void
}

/** How much waits. */
export interface RemotingLoad {
  readonly heldMessages: number
  readonly heldBytes: number
  readonly pendingAsks: number
  /** System messages that the node that has most of them has not acknowledged. */
  readonly systemMessages: number
  readonly searches: number
  readonly routes: number
  /** Streams that other nodes have open here. */
  readonly inboundStreams: number
}

/**
 * One node's traffic with the others: finds actors, sends and takes their messages, keeps the promises that a transport
 * does not. One for each node runtime.
 */
export class Remoting implements FrameReceiver {
  readonly self: NodeAddress
  readonly system: ActorSystem
  readonly clock: Clock
  readonly hooks: ValueHooks
  readonly membership: Membership
  readonly limits: RemotingLimits
  readonly counters: RemotingCounters = newCounters()
  readonly fence = new Fence()
  readonly asks: AskTable
  readonly lives = new Lives()
  readonly replies: Replies
  readonly resolver: Resolver
  /** What all pairs hold together. */
  readonly held = { messages: 0, bytes: 0 }
  /** Left, or declared down. */
  closed = false

  readonly #transport: Transport
  readonly #onFenced: () => void
  readonly #peers = new Map<string, Peer>()
  readonly #routes = new Map<string, Route>()
  readonly #frames: InboundFrames
  /** Nodes that were given up here and may not know it yet. */
  readonly #severed = new Map<string, Timer>()
  #endpoint: Endpoint | undefined
  #unsubscribe: (() => void) | undefined
  #sweep: Timer | undefined
  #watches = 0
  #fenced = false

  private constructor(setup: RemotingSetup) {
    this.self = setup.membership.self
    this.system = setup.system
    this.clock = setup.system.clock
    this.hooks = setup.hooks
    this.membership = setup.membership
    this.limits = setup.limits
    this.#transport = setup.transport
    this.#onFenced = setup.onFenced
    this.asks = new AskTable(setup.limits.maxPendingAsks, ask => this.#abandon(ask))
    this.replies = new Replies(this)
    this.resolver = new Resolver(this)
    this.#frames = new InboundFrames(this)
  }

  /** Joins the transport and follows the membership. */
  static async open(setup: RemotingSetup): Promise<Remoting> {
    const remoting = new Remoting(setup)
    remoting.#endpoint = await remoting.#transport.open(remoting.self, remoting)
    remoting.#unsubscribe = setup.membership.subscribe(event => remoting.#memberChanged(event))
    remoting.#armSweep()
    return remoting
  }

  get nowMs(): number {
    return this.clock.monotonic()
  }

  load(): RemotingLoad {
    let systemMessages = 0
    let inboundStreams = 0
    for (const peer of this.#peers.values()) {
      systemMessages = Math.max(systemMessages, peer.channel.waiting)
      inboundStreams += peer.inbound.open
    }
    return {
      heldMessages: this.held.messages,
      heldBytes: this.held.bytes,
      pendingAsks: this.asks.pending,
      systemMessages,
      searches: this.resolver.open,
      routes: this.#routes.size,
      inboundStreams,
    }
  }

  /** Where messages to a path go that no local actor has. */
  target(path: string): RefTarget {
    return new RemoteTarget(this, path)
  }

  /** Resolves when the others have taken what they were told, such as deaths here; after `drainMs` at the latest. */
  async drain(): Promise<void> {
    let timer: Timer | undefined
    const late = new Promise<void>(resolve => {
      timer = this.clock.after(this.limits.drainMs, resolve)
    })
    const channels = [...this.#peers.values()].map(peer => peer.channel.drained())
    await Promise.race([Promise.all([...channels, this.#endpoint?.drain()]), late])
    timer?.cancel()
  }

  /** Leaves at once: asks under way fail, messages that wait are dead letters, watches fire as for lost nodes. */
  async close(): Promise<void> {
    if (!this.closed) this.#leave(this.closedError(), 'this node is closed')
    await this.#endpoint?.close()
  }

  closedError(): TroupeError {
    if (this.#fenced) {
      return new TroupeError('ERR_NODE_FENCED', `node ${this.self.id} was declared down by the cluster`, {
        data: { node: this.self.id, incarnation: this.self.incarnation },
      })
    }
    return new TroupeError('ERR_CLOSED', `node ${this.self.id} is closed`)
  }

  // for the parts of remoting

  route(path: string): Route {
    let route = this.#routes.get(path)
    if (route === undefined) {
      route = new Route(this, path)
      this.#routes.set(path, route)
    }
    return route
  }

  watch(path: string, watcher: Watcher, target: RefTarget): void {
    if (this.closed) watcher.terminated(target, 0, { kind: 'node-lost', node: this.self.id })
    else this.route(path).watch(watcher, target)
  }

  unwatch(path: string, watcher: Watcher): void {
    this.#routes.get(path)?.unwatch(watcher)
  }

  /** The peer of that address; undefined if it is over. */
  peer(address: NodeAddress): Peer | undefined {
    const known = this.#peers.get(address.id)
    if (known !== undefined && known.address.incarnation === address.incarnation) return known
    if (this.closed || this.fence.refuses(address)) return undefined
    if (known !== undefined) {
      // an id has one incarnation at a time: the later one ends the earlier
      if (known.address.incarnation > address.incarnation) return undefined
      this.#lose(known.address)
    }
    const peer: Peer = new Peer(
      address,
      new SystemChannel({
        clock: this.clock,
        limits: this.limits,
        counters: this.counters,
        send: frame => this.send(peer, frame, 'system'),
        onOverflow: () => this.#sever(peer),
      }),
      new InboundStreams(this.counters),
    )
    this.#peers.set(address.id, peer)
    return peer
  }

  /** False when the lane is full; a peer that is lost takes everything, and nothing arrives. */
  send(peer: Peer, frame: Uint8Array, lane: Lane): boolean {
    if (peer.lost || this.closed) return true
    return this.#endpoint!.send(peer.address, frame, lane)
  }

  broadcast(frame: Uint8Array): void {
    if (!this.closed) this.#endpoint!.broadcast(frame)
  }

  /** Asks for a sign behind all that was sent on a stream. */
  sendFlush(peer: Peer, stream: number): void {
    this.send(peer, encodeFrame({ kind: 'signal', target: '', stream }, 'flush', []), 'data')
  }

  closeStream(peer: Peer, stream: number, onClosed: (() => void) | undefined): void {
    peer.channel.post(
      sequence => encodeFrame({ kind: 'signal', target: '', stream, sequence }, 'close', []),
      onClosed,
    )
  }

  /** Starts to watch an actor elsewhere; answers the watch's number. */
  openWatch(route: Route, place: Place): number {
    const correlation = ++this.#watches
    place.peer.watched.set(correlation, route)
    place.peer.channel.post(sequence =>
      encodeFrame({ kind: 'watch', target: route.path, correlation, sequence }, '', [place.life]),
    )
    return correlation
  }

  closeWatch(peer: Peer, watch: number): void {
    peer.watched.delete(watch)
    peer.channel.post(sequence =>
      encodeFrame({ kind: 'unwatch', target: '', correlation: watch, sequence }, '', []),
    )
  }

  /** An actor here, or its absence, as other nodes are told of it. */
  whereabouts(cell: Cell | undefined): [] | [incarnation: number, life: number] {
    const hosted = cell !== undefined && cell !== this.system.root && cell.state !== 'stopping'
    if (!hosted || cell.incarnation === undefined) return []
    return [cell.incarnation.number, this.lives.of(cell)]
  }

  // FrameReceiver

  frame(from: NodeAddress, bytes: Uint8Array, lane: Lane): void {
    if (this.closed) return
    let frame: Frame
    try {
      frame = decodeFrame(bytes, this.hooks)
    } catch {
      // the codec has counted it by the field that is wrong
      this.counters.bad++
      return
    }
    try {
      const peer = this.peer(from)
      if (peer === undefined) this.#refuseStale(from, frame)
      else this.#frames.take(peer, frame, bytes, lane)
    } catch (error) {
      this.system.suppressed('/', error)
    }
  }

  writable(to: NodeAddress, lane: Lane): void {
    const peer = this.#peers.get(to.id)
    if (peer === undefined || peer.address.incarnation !== to.incarnation) return
    if (lane === 'system') peer.channel.flush()
    else for (const pair of peer.pairs.values()) pair.drain()
  }

  /** Behind the ask itself; where it gets lost, the ask is handled, and its reply comes too late. */
  #abandon({ peer, path, correlation }: RemoteAsk): void {
    const frame = encodeFrame({ kind: 'signal', target: path, correlation }, 'abandon', [])
    if (peer !== undefined) this.send(peer, frame, 'data')
  }

  /** The other node says that it takes nothing from this one any more. */
  refusedBy(peer: Peer): void {
    this.send(peer, fencedFrame(), 'system')
    this.#lose(peer.address)
  }

  #refuseStale(from: NodeAddress, { envelope, name }: Frame): void {
    this.counters.stale++
    if (envelope.kind === 'signal' && name === 'fenced') {
      // it knows
      this.#severed.get(keyOf(from))?.cancel()
      this.#severed.delete(keyOf(from))
    } else this.#endpoint!.send(from, fencedFrame(), 'system')
  }

  #memberChanged(event: MembershipEvent): void {
    if (this.closed) return
    const { node } = event
    if (event.kind === 'up') {
      const known = this.#peers.get(node.id)
      if (known !== undefined && known.address.incarnation < node.incarnation) this.#lose(known.address)
    } else if (node.id === this.self.id) {
      if (node.incarnation < this.self.incarnation) return
      this.#fenced = true
      this.#leave(this.closedError(), 'this node was declared down')
      this.#onFenced()
    } else {
      this.#severed.get(keyOf(node))?.cancel()
      this.#severed.delete(keyOf(node))
      this.#lose(node)
    }
  }

  /** That node incarnation is over for this one: everything that it had a part in ends here. */
  #lose(node: NodeAddress): void {
    this.fence.raise(node)
    const peer = this.#peers.get(node.id)
    if (peer === undefined || peer.address.incarnation > node.incarnation) return
    this.#peers.delete(node.id)
    peer.lost = true
    peer.channel.close()
    for (const { cell, watcher } of peer.watchers.values()) cell.unwatch(watcher)
    peer.watchers.clear()
    this.asks.nodeLost(peer)
    this.watchesLost(peer)
    for (const pair of [...peer.pairs.values()]) pair.unbind()
    peer.pairs.clear()
  }

  /** Watches of actors on a lost node fire. */
  watchesLost(peer: Peer): void {
    const reason: DeathReason = { kind: 'node-lost', node: peer.address.id }
    const routes = [...peer.watched.values()]
    peer.watched.clear()
    for (const route of routes) route.watchFired(route.watchedIncarnation, reason)
  }

  /** Too much waits for a node that does not answer: it is given up, and told so until it knows. */
  #sever(peer: Peer): void {
    this.#lose(peer.address)
    const key = keyOf(peer.address)
    const tell = (): void => {
      if (this.closed) return
      this.#endpoint!.send(peer.address, fencedFrame(), 'system')
      this.#severed.set(key, this.clock.after(MAX_PAUSE_MS, tell))
    }
    tell()
  }

  #leave(error: TroupeError, cause: string): void {
    this.closed = true
    this.#unsubscribe?.()
    this.#sweep?.cancel()
    for (const timer of this.#severed.values()) timer.cancel()
    this.#severed.clear()
    this.resolver.close()
    for (const peer of this.#peers.values()) this.#lose(peer.address)
    this.asks.failAll(error)
    for (const route of this.#routes.values()) route.abandon(cause, { kind: 'node-lost', node: this.self.id })
    this.#routes.clear()
  }

  #armSweep(): void {
    const { idlePairMs } = this.limits
    this.#sweep = this.clock.after(idlePairMs, () => {
      for (const [path, route] of this.#routes) {
        route.sweep(this.nowMs - idlePairMs)
        if (route.idle) this.#routes.delete(path)
      }
      this.#armSweep()
    })
    this.#sweep.hold(false)
  }
}

function keyOf(node: NodeAddress): string {
  return `${node.incarnation} ${node.id}`
}

function fencedFrame(): Uint8Array {
  return encodeFrame({ kind: 'signal', target: '' }, 'fenced', [])
}
