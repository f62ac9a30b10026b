import { token } from './token.js'

/** Randomness, as everything in Troupe draws it. Seeded, so that a run can be repeated. */
export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  next(): number
  /** Uniform integer in [0, bound). */
  below(bound: number): number
  /** An independent stream, a function of this stream's seed and `name` alone. */
  fork(name: string): Random
}

export const Random = token<Random>('Random')

/** 32-bit FNV-1a over UTF-16 code units, mixed with a seed: turns names into seeds. */
export function hashSeed(seed: number, text: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return avalanche(hash)
}

/** The finaliser of MurmurHash3: every input bit changes every output bit with probability one half. */
export function avalanche(value: number): number {
  let h = value >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Mulberry32: 32 bits of state, period 2^32; integer operations only, so equal on every engine. */
export class SeededRandom implements Random {
  readonly #seed: number
  #state: number

  constructor(seed: number) {
    this.#seed = seed >>> 0
    this.#state = avalanche(this.#seed)
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  fork(name: string): Random {
    return new SeededRandom(hashSeed(this.#seed, name))
  }
}

/** A seed from the machine's entropy. The one place where Troupe draws it. */
export function entropySeed(): number {
  return (Math.random() * 4294967296) >>> 0
}
