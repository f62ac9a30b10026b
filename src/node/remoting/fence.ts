import type { NodeAddress } from '../../transport/port.js'

/** Knows which node incarnations are over for this node: they may have no more effects here. */
export class Fence {
  /** Node id → the greatest incarnation that is over. */
  readonly #over = new Map<string, number>()

  /** This incarnation, and all before it, are over. */
  raise(node: NodeAddress): void {
    const over = this.#over.get(node.id)
    if (over === undefined || over < node.incarnation) this.#over.set(node.id, node.incarnation)
  }

  refuses(node: NodeAddress): boolean {
    const over = this.#over.get(node.id)
    return over !== undefined && node.incarnation <= over
  }
}
