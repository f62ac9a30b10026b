import type { Cell } from '../../actor/cell.js'
import { inbound } from '../../actor/inbound.js'
import type { Timer } from '../../determinism/index.js'
import { TroupeError } from '../../errors.js'
import { decodeFrame, encodeFrame } from '../../wire/index.js'
import { linksOf } from './chain-links.js'
import type { Place } from './peer.js'
import type { RemoteAsk } from './remote-ask.js'
import type { Remoting } from './remoting.js'
import type { Route } from './route.js'

/** A message that waits: as a frame, so that it is a snapshot of its payload and its bytes are known. */
export interface Parcel {
  readonly name: string
  readonly frame: Uint8Array
  readonly ask: RemoteAsk | undefined
  readonly sinceMs: number
}

/**
 * held: it has no stream; messages wait for a place. open: they go out. moving: the receiver's incarnation was not
 * where they went; those that come back are gathered. closing: idle, waiting until the other side forgot the stream.
 */
type PairState = 'held' | 'open' | 'moving' | 'closing'

/** One sender's messages to one receiver on another node: one ordered stream at a time, and what waits for it. */
export class Pair {
  readonly route: Route
  readonly sender: string | undefined
  lastUsedMs: number

  readonly #remoting: Remoting
  #state: PairState = 'held'
  #place: Place | undefined
  #stream = 0
  #sequence = 0
  #parcels: Parcel[] = []
  #bytes = 0
  /** While moving: what came back, by its old sequence. */
  #returned: Map<number, Parcel> | undefined
  #timer: Timer | undefined

  constructor(remoting: Remoting, route: Route, sender: string | undefined) {
    this.#remoting = remoting
    this.route = route
    this.sender = sender
    this.lastUsedMs = remoting.nowMs
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#parcels.length
  }

  get state(): PairState {
    return this.#state
  }

  /** Sends a message, or holds it while it cannot go. Throws ERR_PAYLOAD if it can never. */
  post(name: string, args: readonly unknown[], ask: RemoteAsk | undefined): void {
    this.lastUsedMs = this.#remoting.nowMs
    if (this.#state === 'open' && this.#parcels.length === 0 && this.#transmit(name, args, ask)) return
    this.#hold(name, args, ask)
    if (this.#state === 'held') this.route.wanted()
  }

  /** The receiver is there: what waits goes out, in order, on a new stream. */
  bind(place: Place): void {
    if (this.#state !== 'held') return
    this.#place = place
    this.#stream = place.peer.openStream(this)
    this.#sequence = 0
    this.#state = 'open'
    this.drain()
  }

  /** Sends what waits, until the lane is full. */
  drain(): void {
    while (this.#state === 'open' && this.#parcels.length > 0) {
      const parcel = this.#parcels[0]!
      if (!this.#send(parcel)) return
      this.#take()
    }
  }

  /** A message came back, since the incarnation it named is not there; `now` is where it is, if that is known. */
  movedBack(sequence: number, frame: Uint8Array, now: Place | undefined): void {
    const parcel = this.#parcelOf(frame)
    this.route.moved(this.#place!, now)
    this.#returned ??= this.#beginMove()
    if (parcel === undefined || this.#returned.has(sequence)) return
    if (parcel.ask !== undefined) unsend(parcel.ask)
    this.#returned.set(sequence, parcel)
  }

  /** All that was sent on the stream before has come back, or will not. */
  flushed(stream: number): void {
    if (stream === this.#stream && this.#state === 'moving') this.#endMove()
  }

  /** The node it was sent to is over. What had come back from there can go elsewhere; the rest is lost or handled. */
  unbind(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#requeue()
    this.#place = undefined
    this.#state = 'held'
    if (this.#parcels.length > 0) this.route.wanted()
  }

  /** Forgets the stream on both sides; answers whether it began to. A message that comes meanwhile waits. */
  close(onClosed: () => void): boolean {
    if (this.#state === 'held' && this.#parcels.length === 0) {
      onClosed()
      return true
    }
    if (this.#state !== 'open' || this.#parcels.length > 0) return false
    this.#state = 'closing'
    this.#closeStream(() => {
      if (this.#state !== 'closing') return
      this.#state = 'held'
      if (this.#parcels.length === 0) onClosed()
      else this.route.wanted()
    })
    return true
  }

  /** Gives up the tells that wait since `beforeMs` or longer. */
  expire(beforeMs: number): void {
    if (this.#state !== 'held') return
    const late = this.#parcels.filter(parcel => parcel.ask?.settled ?? parcel.sinceMs <= beforeMs)
    if (late.length === 0) return
    const kept = this.#parcels.filter(parcel => !late.includes(parcel))
    this.#clear()
    for (const parcel of kept) this.#add(parcel)
    for (const parcel of late) this.#refuse(parcel, 'its receiver was not found in time')
  }

  /** The receiver is on this node now: what waits goes to it. */
  deliverHere(cell: Cell): void {
    if (this.#state !== 'held') return
    const parcels = this.#parcels
    this.#clear()
    for (const parcel of parcels) {
      try {
        const { name, args } = decodeFrame(parcel.frame, this.#remoting.hooks)
        const { handler, payload } = inbound(cell.type, name, args)
        if (parcel.ask === undefined) cell.tell(handler, payload, undefined)
        else cell.deliver(handler, payload, parcel.ask)
      } catch (error) {
        this.#refuse(parcel, String(error))
      }
    }
  }

  /** Gives up all that is held; `whatever`: and all that is under way to be sent again. */
  refuseAll(cause: string, whatever = false): void {
    if (whatever) this.#requeue()
    else if (this.#state !== 'held') return
    const parcels = this.#parcels
    this.#clear()
    for (const parcel of parcels) this.#refuse(parcel, cause)
  }

  /** Answers false if the lane is full. */
  #transmit(name: string, args: readonly unknown[], ask: RemoteAsk | undefined): boolean {
    const place = this.#place!
    const frame = encodeFrame(
      {
        kind: ask === undefined ? 'tell' : 'ask',
        target: this.route.path,
        targetIncarnation: place.incarnation,
        sender: this.sender,
        sequence: this.#sequence + 1,
        correlation: ask?.correlation,
        msLeft: ask === undefined ? undefined : Math.max(0, ask.deadlineMs - this.#remoting.nowMs),
        chain: ask?.chain === undefined ? undefined : linksOf(ask.chain),
        stream: this.#stream,
      },
      name,
      args,
      this.#remoting.hooks,
    )
    if (!this.#remoting.send(place.peer, frame, 'data')) return false
    this.#sequence++
    if (ask !== undefined) {
      ask.peer = place.peer
      place.peer.asks.add(ask)
    }
    return true
  }

  #send(parcel: Parcel): boolean {
    if (parcel.ask?.settled === true) return true
    try {
      const { name, args } = decodeFrame(parcel.frame, this.#remoting.hooks)
      return this.#transmit(name, args, parcel.ask)
    } catch (error) {
      this.#refuse(parcel, `it could not be sent again: ${String(error)}`)
      return true
    }
  }

  #hold(name: string, args: readonly unknown[], ask: RemoteAsk | undefined): void {
    const kind = ask === undefined ? 'tell' : 'ask'
    const frame = encodeFrame(
      { kind, target: this.route.path, sender: this.sender, correlation: ask?.correlation },
      name,
      args,
      this.#remoting.hooks,
    )
    const parcel: Parcel = { name, frame, ask, sinceMs: this.#remoting.nowMs }
    if (this.#fits(parcel)) this.#add(parcel)
    else this.#refuseFull(parcel)
  }

  #fits({ frame }: Parcel): boolean {
    const { limits, held } = this.#remoting
    return (
      this.#parcels.length < limits.maxPairMessages &&
      this.#bytes + frame.byteLength <= limits.maxPairBytes &&
      held.messages < limits.maxHeldMessages &&
      held.bytes + frame.byteLength <= limits.maxHeldBytes
    )
  }

  #add(parcel: Parcel): void {
    this.#parcels.push(parcel)
    this.#count(parcel, 1)
  }

  #take(): void {
    this.#count(this.#parcels.shift()!, -1)
  }

  #clear(): void {
    for (const parcel of this.#parcels) this.#count(parcel, -1)
    this.#parcels = []
  }

  #count(parcel: Parcel, sign: 1 | -1): void {
    const { held } = this.#remoting
    this.#bytes += sign * parcel.frame.byteLength
    held.messages += sign
    held.bytes += sign * parcel.frame.byteLength
  }

  #beginMove(): Map<number, Parcel> {
    this.#state = 'moving'
    this.#remoting.sendFlush(this.#place!.peer, this.#stream)
    this.#timer = this.#remoting.clock.after(this.#remoting.limits.moveTimeoutMs, () => this.#endMove())
    return new Map()
  }

  #endMove(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#closeStream(undefined)
    this.#requeue()
    this.#place = undefined
    this.#state = 'held'
    this.route.wanted()
  }

  /** What came back, in the order it was sent, and then what was held since. */
  inOrder(returned: ReadonlyMap<number, Parcel>, held: readonly Parcel[]): Parcel[] {
    const again = [...returned].sort(([a], [b]) => a - b).map(([, parcel]) => parcel)
    return [...again, ...held]
  }

  #requeue(): void {
    const returned = this.#returned
    if (returned === undefined) return
    this.#returned = undefined
    const held = this.#parcels
    this.#clear()
    for (const parcel of this.inOrder(returned, held)) {
      if (this.#fits(parcel)) this.#add(parcel)
      else this.#refuseFull(parcel)
    }
  }

  #closeStream(onClosed: (() => void) | undefined): void {
    const { peer } = this.#place!
    peer.pairs.delete(this.#stream)
    this.#remoting.closeStream(peer, this.#stream, onClosed)
  }

  /** Nothing for an ask that has settled in the meantime. */
  #parcelOf(frame: Uint8Array): Parcel | undefined {
    const { envelope, name } = decodeFrame(frame, this.#remoting.hooks)
    const ask = envelope.kind === 'ask' ? this.#remoting.asks.get(envelope.correlation ?? 0) : undefined
    if (envelope.kind === 'ask' && ask === undefined) return undefined
    return { name, frame, ask, sinceMs: this.#remoting.nowMs }
  }

  #refuse(parcel: Parcel, cause: string): void {
    const { path } = this.route
    if (parcel.ask !== undefined) {
      parcel.ask.fail(
        new TroupeError('ERR_ACTOR_NOT_FOUND', `'${parcel.name}' to ${path}: ${cause}`, { data: { path } }),
      )
    } else {
      this.#remoting.system.deadLetter(path, parcel.name, this.sender, cause)
    }
  }

  #refuseFull(parcel: Parcel): void {
    const { path } = this.route
    const { maxPairMessages, maxPairBytes } = this.#remoting.limits
    if (parcel.ask === undefined) {
      this.#remoting.system.deadLetter(path, parcel.name, this.sender, 'the send buffer is full')
      return
    }
    parcel.ask.fail(
      new TroupeError(
        'ERR_SEND_BUFFER_FULL',
        `'${parcel.name}' to ${path}: ${this.#parcels.length} of ${maxPairMessages} messages, ${this.#bytes} of ${maxPairBytes} bytes wait already`,
        { data: { path, maxPairMessages, maxPairBytes } },
      ),
    )
  }
}

/** It came back: it is not where it was sent. */
function unsend(ask: RemoteAsk): void {
  ask.peer?.asks.delete(ask)
  ask.peer = undefined
}
