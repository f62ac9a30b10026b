import type { Cell } from '../../actor/cell.js'
import { STOPPED, type DeathReason } from '../../actor/death.js'

/** Deaths that are remembered, for watches that come after them. */
const MAX_DEATHS = 4_096

interface Death {
  readonly incarnation: number
  readonly reason: DeathReason
}

/**
 * Numbers the lives of the actors that other nodes know of. A life survives restarts, which an incarnation does not,
 * so a watch names a life: an actor of the same path that was spawned later is another one.
 */
export class Lives {
  readonly #lives = new WeakMap<Cell, number>()
  readonly #deaths = new Map<number, Death>()
  #count = 0

  of(cell: Cell): number {
    let life = this.#lives.get(cell)
    if (life === undefined) {
      life = ++this.#count
      this.#lives.set(cell, life)
      const number = life
      cell.watch({
        path: '/',
        terminated: (_, incarnation, reason) => this.#died(number, { incarnation, reason }),
      })
    }
    return life
  }

  /** How a life ended; if that is forgotten, it stopped. */
  deathOf(life: number): Death {
    return this.#deaths.get(life) ?? { incarnation: 0, reason: STOPPED }
  }

  #died(life: number, death: Death): void {
    this.#deaths.set(life, death)
    if (this.#deaths.size > MAX_DEATHS) this.#deaths.delete(this.#deaths.keys().next().value!)
  }
}
