import type { Timer } from '../../determinism/index.js'
import { encodeFrame } from '../../wire/index.js'
import type { NodeAddress } from '../../transport/port.js'
import { MAX_PAUSE_MS } from './options.js'
import type { Place } from './peer.js'
import type { Remoting } from './remoting.js'
import type { Route } from './route.js'

/** The search for one path. */
interface Search {
  readonly route: Route
  readonly sinceMs: number
  /** Number of the first question asked late enough for its answers to count as final. */
  finalFrom: number
  /** Members that said late enough that the actor is not there. */
  readonly absent: Set<string>
  pauseMs: number
  timer: Timer | undefined
}

/**
 * Finds out where paths are by asking all nodes. The host answers where, the others "not here". A path has never
 * existed when every member said so late in a grace period; while some member does not answer, nothing is certain, and
 * the search goes on for as long as anything waits for it.
 */
export class Resolver {
  readonly #remoting: Remoting
  readonly #searches = new Map<string, Search>()
  #questions = 0

  constructor(remoting: Remoting) {
    this.#remoting = remoting
  }

  /** Searches under way. */
  get open(): number {
    return this.#searches.size
  }

  want(route: Route): void {
    if (this.#searches.has(route.path)) return
    if (this.#foundHere(route)) return
    const search: Search = {
      route,
      sinceMs: this.#remoting.nowMs,
      finalFrom: Infinity,
      absent: new Set(),
      pauseMs: this.#remoting.limits.resolveEveryMs,
      timer: undefined,
    }
    this.#searches.set(route.path, search)
    this.#ask(search)
  }

  /** A node said that the actor is there. */
  located(path: string, place: Place): void {
    const search = this.#searches.get(path)
    if (search === undefined) return
    this.#end(search)
    search.route.found(place)
  }

  /** A node said, in answer to a question, that the actor is not there. */
  absent(path: string, node: NodeAddress, question: number): void {
    const search = this.#searches.get(path)
    if (search === undefined || question < search.finalFrom) return
    search.absent.add(keyOf(node))
    this.#conclude(search)
  }

  close(): void {
    for (const search of [...this.#searches.values()]) this.#end(search)
  }

  #ask(search: Search): void {
    const { nowMs, limits } = this.#remoting
    const question = ++this.#questions
    if (search.finalFrom === Infinity && nowMs - search.sinceMs >= limits.resolveGraceMs / 2) {
      search.finalFrom = question
    }
    this.#remoting.broadcast(
      encodeFrame({ kind: 'resolve', target: search.route.path, correlation: question }, '', []),
    )
    search.timer = this.#remoting.clock.after(search.pauseMs, () => this.#tick(search))
    search.pauseMs = Math.min(2 * search.pauseMs, MAX_PAUSE_MS)
  }

  #tick(search: Search): void {
    const { nowMs, limits } = this.#remoting
    search.route.expire(nowMs - limits.holdMs)
    if (!search.route.waits) {
      this.#end(search)
      return
    }
    if (this.#foundHere(search.route) || this.#conclude(search)) return
    this.#ask(search)
  }

  /** Ends the search if all who could have the actor have said that they do not. */
  #conclude(search: Search): boolean {
    const { nowMs, limits, self, fence } = this.#remoting
    if (search.finalFrom === Infinity || nowMs - search.sinceMs < limits.resolveGraceMs) return false
    const others = this.#remoting.membership.members().filter(member => member.id !== self.id)
    if (!others.every(member => search.absent.has(keyOf(member)) || fence.refuses(member))) return false
    this.#end(search)
    // a member that was given up here cannot be asked: the actor may be there
    search.route.absent(others.find(member => fence.refuses(member))?.id)
    return true
  }

  /** The path may have come to this node itself. */
  #foundHere(route: Route): boolean {
    const cell = this.#remoting.system.find(route.path)
    if (cell === undefined) return false
    const search = this.#searches.get(route.path)
    if (search !== undefined) this.#end(search)
    route.foundHere(cell)
    return true
  }

  #end(search: Search): void {
    search.timer?.cancel()
    this.#searches.delete(search.route.path)
  }
}

function keyOf(node: NodeAddress): string {
  return `${node.incarnation} ${node.id}`
}
