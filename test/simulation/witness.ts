import type { Simulation } from 'troupe/testing'
import type { TroupeError } from '../../src/errors.js'

/** One tell, as its receiver reports it. */
export interface Note {
  /** Sender and receiver by path: the pair whose order counts. */
  readonly pair: string
  /** Grows with each message of the pair, over restarts of the sender. */
  readonly n: number
  readonly node: string
  readonly incarnation: number
  readonly sentMs: number
}

interface Asked {
  readonly issuer: string
  readonly incarnation: number
  readonly target: string
  readonly deadlineMs: number
  settled: boolean
}

interface Watched {
  readonly watcher: string
  readonly node: string
  readonly incarnation: number
  readonly path: string
  fired: number
  ended: boolean
}

/** Outcomes of asks that a promise allows. */
const ALLOWED = new Set([
  'ERR_ASK_TIMEOUT',
  'ERR_NODE_LOST',
  'ERR_NODE_FENCED',
  'ERR_CLOSED',
  'ERR_ACTOR_STOPPED',
  'ERR_ACTOR_FAILED',
  'ERR_ACTOR_NOT_FOUND',
  'ERR_MAILBOX_FULL',
  'ERR_SEND_BUFFER_FULL',
  'ERR_TOO_MANY_ASKS',
  'ERR_REPLY_LOST',
  'REFUSED',
])

/** Stands outside of all nodes, sees everything that actors report, and holds it against the promises. */
export class Witness {
  readonly simulation: Simulation
  /** Children that lives were given to: path → is it alive? */
  readonly children = new Map<string, boolean>()
  /** The node incarnation that a child lives or lived on. */
  readonly #homes = new Map<string, { node: string; incarnation: number }>()
  readonly asks: Asked[] = []
  readonly watches: Watched[] = []
  /** The incarnation of each node's driver that runs now. */
  readonly #drivers = new Map<string, string>()
  readonly #taken = new Set<string>()
  readonly #last = new Map<string, number>()
  readonly #numbers = new Map<string, number>()
  #children = 0
  /** Actors stop to act. */
  quiet = false

  constructor(simulation: Simulation) {
    this.simulation = simulation
  }

  // promises 1 and 8

  next(pair: string): number {
    const n = (this.#numbers.get(pair) ?? 0) + 1
    this.#numbers.set(pair, n)
    return n
  }

  taken(note: Note, node: string, incarnation: number): void {
    const id = `${note.pair} #${note.n}`
    this.simulation.always('promise 1: a message arrives at most once', !this.#taken.has(id), id)
    this.#taken.add(id)
    const stream = `${note.pair} at ${node}/${incarnation}`
    const last = this.#last.get(stream) ?? 0
    this.simulation.always(
      'promise 1: messages of a pair arrive in order',
      note.n > last,
      `${id} after #${last}`,
    )
    this.#last.set(stream, note.n)
    this.notStale(note, node)
  }

  /** What was sent after the receiver's node knew of the sender's end must have no effect. */
  notStale(note: Pick<Note, 'node' | 'incarnation' | 'sentMs'>, node: string): void {
    const observer = this.simulation.node(node)
    const toldMs = this.simulation.toldOverAtMs(observer, note.node, note.incarnation)
    if (toldMs !== undefined) this.simulation.sometimes('a node was told of the end of another')
    this.simulation.always(
      'promise 8: a stale incarnation has no effect',
      toldMs === undefined || note.sentMs <= toldMs,
      `${note.node}/${note.incarnation} at ${node}`,
    )
  }

  // promise 2

  asked(
    issuer: string,
    incarnation: number,
    target: string,
    timeoutMs: number,
    reply: Promise<unknown>,
  ): void {
    const deadlineMs = this.simulation.nowMs + timeoutMs
    const asked: Asked = { issuer, incarnation, target, deadlineMs, settled: false }
    this.asks.push(asked)
    reply.then(
      () => {
        asked.settled = true
      },
      (reason: unknown) => {
        const error = reason as TroupeError
        asked.settled = true
        this.simulation.sometimes(`an ask ended with ${error.code}`)
        this.simulation.always(
          'promise 2: asks end with a typed error',
          ALLOWED.has(error.code),
          String(error),
        )
      },
    )
  }

  /** Asks that should have settled by now: their time is over, or `all` are due. */
  unsettled(issuer: string, all: boolean): Asked[] {
    const { incarnation } = this.simulation.node(issuer)
    const dueMs = this.simulation.nowMs - 100
    return this.asks.filter(
      ask =>
        !ask.settled &&
        ask.issuer === issuer &&
        ask.incarnation === incarnation &&
        (all || ask.deadlineMs < dueMs),
    )
  }

  // promise 3

  newChild(): number {
    return ++this.#children
  }

  born(path: string, node: string, incarnation: number): void {
    this.children.set(path, true)
    this.#homes.set(path, { node, incarnation })
  }

  dies(path: string): void {
    this.children.set(path, false)
  }

  driverStarted(node: string, watcher: string): void {
    this.#drivers.set(node, watcher)
  }

  watched(watcher: string, node: string, incarnation: number, path: string): void {
    const again = this.#watchOf(watcher, path)
    if (again === undefined) this.watches.push({ watcher, node, incarnation, path, fired: 0, ended: false })
  }

  unwatched(watcher: string, path: string): void {
    const watch = this.#watchOf(watcher, path)
    if (watch !== undefined) watch.ended = true
  }

  fired(watcher: string, path: string, kind: string): void {
    const watch = this.#watchOf(watcher, path)
    this.simulation.sometimes(`a watch fired with ${kind}`)
    this.simulation.always(
      'promise 3: an unwatched death is not told',
      watch !== undefined,
      `${watcher} ${path}`,
    )
    watch!.fired++
    watch!.ended = true
    // a node that was expelled loses all others
    if (this.simulation.isOver(watch!.node, watch!.incarnation)) return
    this.simulation.always(
      'promise 3: a watch fires only for a death',
      !this.#lives(path),
      `${watcher} ${path}`,
    )
  }

  /** Watches of live watchers whose death is not told yet. */
  untold(node: string): Watched[] {
    return this.watches.filter(
      watch =>
        watch.node === node &&
        !watch.ended &&
        this.#drivers.get(node) === watch.watcher &&
        this.simulation.node(node).incarnation === watch.incarnation &&
        !this.#lives(watch.path),
    )
  }

  #watchOf(watcher: string, path: string): Watched | undefined {
    return this.watches.find(watch => watch.watcher === watcher && watch.path === path && !watch.ended)
  }

  #lives(path: string): boolean {
    const home = this.#homes.get(path)
    if (home === undefined || this.children.get(path) !== true) return false
    const node = this.simulation.node(home.node)
    return (
      node.running &&
      node.incarnation === home.incarnation &&
      !this.simulation.isOver(home.node, home.incarnation)
    )
  }
}
