import { avalanche } from '../determinism/index.js'

/** Rounds of the network: four make a pseudo-random permutation (Luby & Rackoff, 1988); two more for short keys. */
const ROUNDS = 6

/** Sizes are 32-bit. */
export const MAX_PERMUTATION = 2 ** 31

/**
 * A seeded permutation of 0…size-1 that can be asked for any position without computing the others and keeps no
 * table: a Feistel network over the next power of four, walked again while it leads out of range. Integer operations
 * only, so equal on every engine.
 */
export class Permutation {
  readonly #size: number
  readonly #halfBits: number
  readonly #mask: number
  readonly #keys: readonly number[]

  constructor(seed: number, size: number) {
    this.#size = size
    this.#halfBits = Math.max(1, Math.ceil(Math.log2(Math.max(2, size)) / 2))
    this.#mask = 2 ** this.#halfBits - 1
    this.#keys = Array.from({ length: ROUNDS }, (_, round) =>
      avalanche(seed ^ Math.imul(round + 1, 0x9e3779b9)),
    )
  }

  /** Where `index` goes. The walk ends: it follows a cycle of the network back into range. */
  at(index: number): number {
    let value = index
    do value = this.#encrypt(value)
    while (value >= this.#size)
    return value
  }

  #encrypt(value: number): number {
    let left = value >>> this.#halfBits
    let right = value & this.#mask
    for (const key of this.#keys) {
      const mixed = (left ^ (avalanche(right ^ key) & this.#mask)) >>> 0
      left = right
      right = mixed
    }
    return ((left << this.#halfBits) | right) >>> 0
  }
}
