import type { Random } from '../determinism/index.js'
import type { Supervision } from './options.js'

/** Milliseconds to wait before the k-th restart in the window (k from 1). */
export function backoffMs(options: Supervision['backoff'], k: number, random: Random): number {
  // 0 for good, where the factor's overflow below would make it no number
  if (k <= 1 || options.baseMs === 0) return 0
  // factor^(k-2) overflows to Infinity for large k, which the minimum handles
  const plain = Math.min(options.maxMs, options.baseMs * options.factor ** (k - 2))
  return plain * (1 + options.jitter * (2 * random.next() - 1))
}
