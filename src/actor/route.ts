import { describe, TroupeError } from '../errors.js'
import { hashSeed } from '../determinism/index.js'
import type { AskOptions } from './ask.js'
import { MessageCell } from './message-cell.js'
import type { HandlerEntry } from './protocol.js'
import { ActorRef, type RefTarget, type Sender } from './ref.js'

/** Which of several targets a message goes to. */
type Choose = (handler: HandlerEntry, payload: unknown) => number

/**
 * A ref that spreads messages over several actors of one class, one after another.
 *
 * A route lives with its holder: it cannot be sent or watched; send or watch its members.
 *
 * @throws ERR_INVALID_OPTION no members
 */
export function roundRobin<A>(members: readonly ActorRef<A>[]): ActorRef<A> {
  let next = 0
  return routed(members, () => next++ % members.length)
}

/**
 * A ref that sends each message to the member with the fewest messages waiting: asks under way through this route, and
 * for members of this runtime what their mailboxes hold. Among equals they take turns.
 *
 * @throws ERR_INVALID_OPTION no members
 */
export function leastLoaded<A>(members: readonly ActorRef<A>[]): ActorRef<A> {
  const asked = members.map(() => 0)
  const load = (index: number): number => {
    const target = members[index]?.target
    return (asked[index] ?? 0) + (target instanceof MessageCell ? target.mailboxMessages : 0)
  }
  let first = 0
  const choose = (): number => {
    let best = first++ % members.length
    for (let offset = 1; offset < members.length; offset++) {
      const index = (best + offset) % members.length
      if (load(index) < load(best)) best = index
    }
    return best
  }
  return routed(members, choose, (index, change) => {
    asked[index] = (asked[index] ?? 0) + change
  })
}

/** Places of each member on the ring: more spread the keys more evenly. */
const PLACES_A_MEMBER = 64

/**
 * A ref that sends all messages of one key to the same member. When members come or go, only the keys of those move.
 *
 * @param key the key of a message, from its name and arguments
 * @throws ERR_INVALID_OPTION no members
 */
export function consistentHash<A>(
  members: readonly ActorRef<A>[],
  key: (message: string, args: readonly unknown[]) => string,
): ActorRef<A> {
  const ring = members
    .flatMap((member, index) =>
      Array.from({ length: PLACES_A_MEMBER }, (_, place) => ({ at: hashSeed(place, member.path), index })),
    )
    .toSorted((a, b) => a.at - b.at)
  return routed(members, (handler, payload) => {
    const hash = hashSeed(0, key(handler.name, handler.packed ? (payload as unknown[]) : [payload]))
    let low = 0
    let high = ring.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((ring[middle]?.at ?? 0) < hash) low = middle + 1
      else high = middle
    }
    return ring[low % ring.length]?.index ?? 0
  })
}

function routed<A>(
  members: readonly ActorRef<A>[],
  choose: Choose,
  asked: (index: number, change: number) => void = () => undefined,
): ActorRef<A> {
  const [first] = members
  if (first === undefined) {
    throw new TroupeError('ERR_INVALID_OPTION', `a route needs members, got ${describe(members)}`, {
      data: { option: 'members' },
    })
  }
  return new ActorRef<A>(
    new RouteTarget(
      members.map(member => member.target),
      choose,
      asked,
    ),
    first.type,
    first.sender,
  )
}

/** Where a route's messages go: on to one of its members. */
export class RouteTarget implements RefTarget {
  readonly path: string
  readonly #members: readonly RefTarget[]
  readonly #choose: Choose
  readonly #asked: (index: number, change: number) => void

  constructor(members: readonly RefTarget[], choose: Choose, asked: (index: number, change: number) => void) {
    this.path = `route(${members.map(member => member.path).join(', ')})`
    this.#members = members
    this.#choose = choose
    this.#asked = asked
  }

  tell(handler: HandlerEntry, payload: unknown, sender: Sender | undefined): void {
    this.#member(this.#choose(handler, payload)).tell(handler, payload, sender)
  }

  async ask(
    handler: HandlerEntry,
    payload: unknown,
    options: AskOptions | undefined,
    sender: Sender | undefined,
  ): Promise<unknown> {
    const index = this.#choose(handler, payload)
    this.#asked(index, 1)
    try {
      return await this.#member(index).ask(handler, payload, options, sender)
    } finally {
      this.#asked(index, -1)
    }
  }

  watch(): never {
    throw new TroupeError('ERR_ACTOR_TYPE', `${this.path} is a route: watch its members`)
  }

  unwatch(): never {
    return this.watch()
  }

  #member(index: number): RefTarget {
    return this.#members[index] as RefTarget
  }
}
