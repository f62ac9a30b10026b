import type { Random } from '../determinism/index.js'
import type { Fault, FaultKind, FaultPlan } from './fault.js'

export interface RandomPlanOptions {
  /** Faults begin between 0 and this, in milliseconds of virtual time. @default 3000 */
  readonly withinMs?: number
  /** A plan has between none and this many faults. @default 6 */
  readonly maxFaults?: number
  /** Which kinds may come. @default all */
  readonly kinds?: readonly FaultKind[]
}

/** Makes a plan for a run: the same for the same randomness and nodes. */
export type PlanFaults = (random: Random, nodes: readonly string[]) => FaultPlan

const ALL_KINDS: readonly FaultKind[] = [
  'drop',
  'duplicate',
  'reorder',
  'delay',
  'partition',
  'crash',
  'pause',
  'expel',
  'skew',
]

const MAX_WINDOW_MS = 1_500
const MAX_RESTART_MS = 800

/** Plans of random faults: of every kind, on random nodes, at random times. Every node that goes comes back. */
export function randomPlan(options: RandomPlanOptions = {}): PlanFaults {
  const { withinMs = 3_000, maxFaults = 6, kinds = ALL_KINDS } = options
  return (random, nodes) => {
    const count = random.below(maxFaults + 1)
    return Array.from({ length: count }, () =>
      randomFault(random, pick(random, kinds), whole(random, withinMs), nodes),
    ).sort((a, b) => a.atMs - b.atMs)
  }
}

function randomFault(random: Random, kind: FaultKind, atMs: number, nodes: readonly string[]): Fault {
  const node = pick(random, nodes)
  const forMs = whole(random, MAX_WINDOW_MS) + 1
  const probability = Math.round(random.next() * 50) / 100
  switch (kind) {
    case 'drop':
      return { kind, atMs, forMs, probability }
    case 'duplicate':
    case 'reorder':
      return { kind, atMs, forMs, probability, delayMs: whole(random, 200) + 1 }
    case 'delay':
      return { kind, atMs, forMs, delayMs: whole(random, 100) + 1 }
    case 'partition':
      // one way, or both: as two faults a plan may hold either
      return random.below(2) === 0 ? { kind, atMs, forMs, from: [node] } : { kind, atMs, forMs, to: [node] }
    case 'crash':
    case 'expel':
      return { kind, atMs, node, restartAfterMs: whole(random, MAX_RESTART_MS) + 1 }
    case 'pause':
      return { kind, atMs, node, forMs }
    case 'skew':
      return { kind, atMs, node, skewMs: whole(random, 120_000) - 60_000 }
  }
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)]!
}

function whole(random: Random, bound: number): number {
  return random.below(bound)
}
