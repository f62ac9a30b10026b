import { SeededRandom } from './random.js'

/** Holds `Math.random` of this thread; see {@link seedMathRandom}. */
export interface MathRandomSeed {
  /** From now on `Math.random` is the stream of this seed, from its beginning. */
  reseed(seed: number): void
  /** The stream's next number, as `Math.random()` gives it. */
  next(): number
  /** Gives the engine's own `Math.random` back. */
  restore(): void
}

/**
 * Replaces `Math.random` in this thread by a seeded stream: what user code and TensorFlow.js draw becomes a
 * function of the seed. For threads that run a user's program; nothing of Troupe's own draws from it.
 *
 * @param drew is told each number that `Math.random` gives
 */
export function seedMathRandom(seed: number, drew?: (value: number) => void): MathRandomSeed {
  const original = Math.random
  let stream = new SeededRandom(seed)
  Math.random = () => {
    const value = stream.next()
    drew?.(value)
    return value
  }
  return {
    reseed: next => {
      stream = new SeededRandom(next)
    },
    next: () => stream.next(),
    restore: () => {
      Math.random = original
    },
  }
}

/** A number of whatever `Math.random` of this thread is now: what user code would have drawn in its place. */
export function drawMathRandom(): number {
  return Math.random()
}
