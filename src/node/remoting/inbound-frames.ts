import type { Cell } from '../../actor/cell.js'
import { STOPPED, type DeathReason } from '../../actor/death.js'
import type { Delivery } from '../../actor/delivery.js'
import { inbound } from '../../actor/inbound.js'
import type { Watcher } from '../../actor/ref.js'
import { SuspectedAsk } from '../../actor/suspected-ask.js'
import { TroupeError } from '../../errors.js'
import { decodeFrame, encodeFrame, type Envelope, type Frame } from '../../wire/index.js'
import type { Lane } from '../../transport/port.js'
import { chainOf } from './chain-links.js'
import type { Peer, Place } from './peer.js'
import { RemoteDelivery } from './remote-delivery.js'
import type { Remoting } from './remoting.js'

/** Does what a frame from another node says. */
export class InboundFrames {
  readonly #remoting: Remoting

  constructor(remoting: Remoting) {
    this.#remoting = remoting
  }

  take(peer: Peer, frame: Frame, bytes: Uint8Array, lane: Lane): void {
    const { envelope } = frame
    switch (envelope.kind) {
      case 'tell':
      case 'ask':
        return this.#message(peer, frame, bytes)
      case 'reply':
      case 'refused':
        return this.#remoting.replies.take(frame)
      case 'moved':
        return this.#moved(peer, frame)
      case 'resolve':
        return this.#resolve(peer, envelope)
      case 'located':
        return this.#located(peer, frame)
      case 'ack':
        return peer.channel.acknowledged(envelope.sequence ?? 0)
      case 'failure':
      case 'watch':
      case 'unwatch':
      case 'terminated':
        return this.#system(peer, frame)
      case 'signal':
        if (frame.name === 'abandon') return this.#abandoned(peer, envelope)
        if (frame.name === 'flush' && lane === 'data') return this.#flush(peer, envelope)
        if (frame.name === 'flushed')
          return peer.pairs.get(envelope.stream ?? 0)?.flushed(envelope.stream ?? 0)
        if (frame.name === 'fenced') return this.#remoting.refusedBy(peer)
        return this.#system(peer, frame)
      case 'spawn':
      case 'stop':
        // nobody sends these yet: a node that does speaks a later protocol
        this.#remoting.counters.bad++
    }
  }

  /** Numbered messages on the system channel: each once, in order, acknowledged. */
  #system(peer: Peer, frame: Frame): void {
    const { envelope, name, args } = frame
    const taken = peer.channel.take(envelope.sequence ?? 0)
    const acknowledgement = encodeFrame({ kind: 'ack', target: '', sequence: peer.channel.received }, '', [])
    this.#remoting.send(peer, acknowledgement, 'system')
    if (!taken) return
    switch (envelope.kind) {
      case 'failure':
        return this.#remoting.replies.take(frame)
      case 'watch':
        return this.#watch(peer, envelope, Number(args[0]))
      case 'unwatch':
        return this.#unwatch(peer, envelope)
      case 'terminated':
        return this.#terminated(peer, envelope, Number(args[0]), reasonOf(args[1]))
      default:
        if (name === 'close') peer.inbound.close(envelope.stream ?? 0)
        else this.#remoting.counters.bad++
    }
  }

  #message(peer: Peer, { envelope, name, args }: Frame, bytes: Uint8Array): void {
    const { system, counters } = this.#remoting
    if (!peer.inbound.accept(envelope.stream ?? 0, envelope.sequence ?? 0)) return
    const cell = system.find(envelope.target)
    if (!isMeant(cell, envelope)) {
      counters.returned++
      this.#return(peer, envelope, cell, bytes)
      return
    }
    const delivery =
      envelope.kind === 'tell'
        ? undefined
        : new RemoteDelivery(
            this.#remoting,
            peer,
            envelope.target,
            name,
            envelope.correlation ?? 0,
            chainOf(envelope.chain),
            envelope.msLeft ?? system.askTimeoutMs,
          )
    try {
      const { handler, payload } = inbound(cell.type, name, args)
      if (delivery !== undefined) cell.deliver(handler, payload, delivery)
      else if (cell.state === 'stopping')
        system.deadLetter(cell.path, name, envelope.sender, 'the actor is stopping')
      else if (!cell.enqueue(handler, payload, undefined)) {
        system.deadLetter(cell.path, name, envelope.sender, 'the mailbox is full')
      }
    } catch (error) {
      if (delivery !== undefined) delivery.fail(error as Error)
      else system.deadLetter(cell.path, name, envelope.sender, String(error))
    }
  }

  /** The incarnation it was meant for is not here: the sender gets its frame back, and where to send it if known. */
  #return(peer: Peer, envelope: Envelope, cell: Cell | undefined, bytes: Uint8Array): void {
    const { stream, sequence } = envelope
    const [incarnation = 0, life = 0] = this.#remoting.whereabouts(cell)
    const frame = encodeFrame({ kind: 'moved', target: envelope.target, stream, sequence }, '', [
      incarnation,
      life,
      bytes,
    ])
    if (this.#remoting.send(peer, frame, 'data')) return
    this.#remoting.system.deadLetter(
      envelope.target,
      '',
      envelope.sender,
      'it could not be returned: the lane is full',
    )
  }

  #moved(peer: Peer, { envelope, args }: Frame): void {
    const [incarnation, life, bytes] = args
    if (!(bytes instanceof Uint8Array)) {
      this.#remoting.counters.bad++
      return
    }
    const { stream = 0, sequence = 0 } = envelope
    const now: Place | undefined =
      Number(incarnation) > 0 ? { peer, incarnation: Number(incarnation), life: Number(life) } : undefined
    const pair = peer.pairs.get(stream)
    if (pair !== undefined) pair.movedBack(sequence, bytes, now)
    else this.#returnedLate(bytes)
  }

  /** Its pair has gone on without it: sending it again could break the order. */
  #returnedLate(bytes: Uint8Array): void {
    const { asks, counters, hooks, system } = this.#remoting
    const { envelope, name } = decodeFrame(bytes, hooks)
    const { target, sender, kind, correlation = 0 } = envelope
    const cause = 'it came back too late to be sent again'
    counters.lateReturns++
    if (kind !== 'ask') system.deadLetter(target, name, sender, cause)
    else
      asks.get(correlation)?.fail(new TroupeError('ERR_ACTOR_NOT_FOUND', `'${name}' to ${target}: ${cause}`))
  }

  /** The asker has given it up: if it still waits, it is not handled. */
  #abandoned(peer: Peer, { target, correlation = 0 }: Envelope): void {
    const isMeant = (delivery: Delivery): boolean => remote(delivery)?.answers(peer, correlation) === true
    const waiting = this.#remoting.system.find(target)?.findWaiting(isMeant)
    if (waiting !== undefined) remote(waiting)?.abandon()
  }

  /** On the same lane as the frames before it, so that it comes after what is returned of them. */
  #flush(peer: Peer, envelope: Envelope): void {
    const { stream } = envelope
    this.#remoting.send(peer, encodeFrame({ kind: 'signal', target: '', stream }, 'flushed', []), 'data')
  }

  #resolve(peer: Peer, { target, correlation }: Envelope): void {
    const here = this.#remoting.whereabouts(this.#remoting.system.find(target))
    this.#remoting.send(peer, encodeFrame({ kind: 'located', target, correlation }, '', here), 'system')
  }

  #located(peer: Peer, { envelope, args }: Frame): void {
    const { target, correlation = 0 } = envelope
    const [incarnation, life] = args
    if (typeof incarnation === 'number' && typeof life === 'number') {
      this.#remoting.resolver.located(target, { peer, incarnation, life })
    } else this.#remoting.resolver.absent(target, peer.address, correlation)
  }

  #watch(peer: Peer, { target, correlation = 0 }: Envelope, life: number): void {
    const { system, lives } = this.#remoting
    const cell = system.find(target)
    const watcher: Watcher = {
      path: '/',
      terminated: (_, incarnation, reason) => {
        if (!peer.watchers.delete(correlation)) return
        this.#tellDeath(peer, correlation, incarnation, reason)
      },
    }
    if (cell === undefined || lives.of(cell) !== life) {
      const { incarnation, reason } = lives.deathOf(life)
      this.#tellDeath(peer, correlation, incarnation, reason)
      return
    }
    peer.watchers.set(correlation, { cell, watcher })
    cell.watch(watcher)
  }

  #tellDeath(peer: Peer, correlation: number, incarnation: number, reason: DeathReason): void {
    peer.channel.post(sequence =>
      encodeFrame({ kind: 'terminated', target: '', correlation, sequence }, '', [incarnation, reason]),
    )
  }

  #unwatch(peer: Peer, { correlation = 0 }: Envelope): void {
    const watched = peer.watchers.get(correlation)
    if (watched === undefined) return
    peer.watchers.delete(correlation)
    watched.cell.unwatch(watched.watcher)
  }

  #terminated(peer: Peer, { correlation = 0 }: Envelope, incarnation: number, reason: DeathReason): void {
    const route = peer.watched.get(correlation)
    // unwatched in the meantime
    if (route === undefined) return
    peer.watched.delete(correlation)
    route.watchFired(incarnation, reason)
  }
}

function remote(delivery: Delivery): RemoteDelivery | undefined {
  const ask = delivery instanceof SuspectedAsk ? delivery.ask : delivery
  return ask instanceof RemoteDelivery ? ask : undefined
}

function isMeant(cell: Cell | undefined, { targetIncarnation }: Envelope): cell is Cell {
  if (cell?.incarnation === undefined) return false
  return targetIncarnation === undefined || cell.incarnation.number === targetIncarnation
}

/** A reason from a stranger: what is none counts as stopped. */
function reasonOf(value: unknown): DeathReason {
  const { kind, cause, node } = (value ?? {}) as { kind?: unknown; cause?: unknown; node?: unknown }
  switch (kind) {
    case 'failed':
      return { kind, cause }
    case 'killed':
    case 'never-existed':
      return { kind }
    case 'node-lost':
      return { kind, node: String(node) }
    default:
      return STOPPED
  }
}
