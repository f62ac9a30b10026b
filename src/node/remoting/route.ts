import type { Cell } from '../../actor/cell.js'
import { NEVER_EXISTED, type DeathReason } from '../../actor/death.js'
import type { RefTarget, Sender, Watcher } from '../../actor/ref.js'
import { Pair } from './pair.js'
import type { Place } from './peer.js'
import type { Remoting } from './remoting.js'

/** All that this node has to do with one path elsewhere: where it is, who sends to it, who watches it. */
export class Route {
  readonly path: string
  readonly #remoting: Remoting
  readonly #pairs = new Map<string, Pair>()
  /** Who watches, and through which of its refs: each is told of the one it knows. */
  readonly #watchers = new Map<Watcher, RefTarget>()
  #place: Place | undefined
  /** The watch at the other side; 0: none. */
  #watch = 0
  #watchedAt: Place | undefined

  constructor(remoting: Remoting, path: string) {
    this.#remoting = remoting
    this.path = path
  }

  /** Does anything wait until the actor is found? */
  get waits(): boolean {
    if (this.#watch === 0 && this.#watchers.size > 0) return true
    for (const pair of this.#pairs.values()) if (pair.waiting > 0) return true
    return false
  }

  /** Nobody uses it. */
  get idle(): boolean {
    return this.#pairs.size === 0 && this.#watchers.size === 0
  }

  pair(sender: Sender | undefined): Pair {
    const key = sender?.path ?? ''
    let pair = this.#pairs.get(key)
    if (pair === undefined) {
      pair = new Pair(this.#remoting, this, sender?.path)
      this.#pairs.set(key, pair)
    }
    return pair
  }

  /** Something waits for a place: uses the one that is known, or has it looked for. */
  wanted(): void {
    if (this.#place?.peer.lost === true) this.#place = undefined
    if (this.#place === undefined) this.#remoting.resolver.want(this)
    else this.#use(this.#place)
  }

  found(place: Place): void {
    this.#place = place
    this.#use(place)
  }

  /** It is no longer where a pair found it; `now`, if known, is where it is. A place learnt since then stays. */
  moved(from: Place, now: Place | undefined): void {
    if (this.#place === from) this.#place = now
  }

  /** The actor is on this node: the local tree takes over. */
  foundHere(cell: Cell): void {
    this.#place = undefined
    for (const pair of this.#pairs.values()) pair.deliverHere(cell)
    for (const [watcher, target] of [...this.#watchers]) {
      if (this.#watch !== 0) continue
      this.#watchers.delete(watcher)
      target.watch(watcher)
    }
  }

  /** Nobody knows such an actor; `unasked`: but for a node that could not be asked. */
  absent(unasked: string | undefined): void {
    this.#place = undefined
    const cause =
      unasked === undefined ? 'no such actor' : `no such actor, unless on the lost node ${unasked}`
    for (const pair of this.#pairs.values()) pair.refuseAll(cause)
    if (this.#watch !== 0) return
    this.#fire(0, unasked === undefined ? NEVER_EXISTED : { kind: 'node-lost', node: unasked })
  }

  expire(beforeMs: number): void {
    for (const pair of this.#pairs.values()) pair.expire(beforeMs)
  }

  /** Forgets pairs that were not used since `beforeMs`. */
  sweep(beforeMs: number): void {
    for (const [key, pair] of this.#pairs) {
      if (pair.lastUsedMs <= beforeMs) pair.close(() => this.#pairs.delete(key))
    }
  }

  /** This node leaves the cluster. */
  abandon(cause: string, reason: DeathReason): void {
    for (const pair of this.#pairs.values()) pair.refuseAll(cause, true)
    this.watchFired(this.watchedIncarnation, reason)
  }

  // watching

  watch(watcher: Watcher, target: RefTarget): void {
    this.#watchers.set(watcher, target)
    if (this.#watch === 0) this.wanted()
  }

  unwatch(watcher: Watcher): void {
    if (!this.#watchers.delete(watcher) || this.#watchers.size > 0 || this.#watch === 0) return
    this.#remoting.closeWatch(this.#watchedAt!.peer, this.#watch)
    this.#watch = 0
    this.#watchedAt = undefined
  }

  /** What was watched has died, or its node is lost. */
  watchFired(incarnation: number, reason: DeathReason): void {
    this.#watch = 0
    this.#watchedAt = undefined
    this.#fire(incarnation, reason)
  }

  /** The incarnation that the watch names. */
  get watchedIncarnation(): number {
    return this.#watchedAt?.incarnation ?? 0
  }

  #use(place: Place): void {
    if (this.#watch === 0 && this.#watchers.size > 0) {
      this.#watchedAt = place
      this.#watch = this.#remoting.openWatch(this, place)
    }
    for (const pair of this.#pairs.values()) pair.bind(place)
  }

  #fire(incarnation: number, reason: DeathReason): void {
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    for (const [watcher, target] of watchers) watcher.terminated(target, incarnation, reason)
  }
}
