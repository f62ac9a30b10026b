import { token, type Token } from '../determinism/index.js'
import type { NodeAddress } from '../transport/port.js'

/**
 * Why a node counts as gone.
 * left: it said goodbye; lost: it went silent and may still be alive; replaced: a later incarnation of it joined.
 */
export type DownReason = 'left' | 'lost' | 'replaced'

export type MembershipEvent =
  | { readonly kind: 'up'; readonly node: NodeAddress }
  /** Final for that incarnation: nothing from it may have an effect afterwards. */
  | { readonly kind: 'down'; readonly node: NodeAddress; readonly reason: DownReason }

/**
 * Who belongs to the cluster, as this node sees it. For each id the incarnations only grow, and the `down` of one
 * comes before the `up` of the next. A node that is itself declared down is told so too, if it can still be reached.
 */
export interface Membership {
  readonly self: NodeAddress
  /** All that are up, this node included. */
  members(): readonly NodeAddress[]
  /** `listener` is told what changes from now on; the function that comes back ends that. */
  subscribe(listener: (event: MembershipEvent) => void): () => void
}

export const Membership: Token<Membership> = token<Membership>('Membership')

/** The membership of a node that is alone: an embedded runtime. */
export class SingleNodeMembership implements Membership {
  readonly self: NodeAddress
  readonly #members: readonly NodeAddress[]

  constructor(self: NodeAddress) {
    this.self = self
    this.#members = [self]
  }

  members(): readonly NodeAddress[] {
    return this.#members
  }

  subscribe(): () => void {
    return () => {}
  }
}
