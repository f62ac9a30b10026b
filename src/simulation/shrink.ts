import type { Fault, FaultPlan } from './fault.js'

/** Runs that a shrink may take. */
const MAX_RUNS = 200

/**
 * Makes a failing plan smaller while it keeps failing: first by leaving faults out, large parts first, then by making
 * the remaining ones shorter and milder.
 */
export async function shrinkPlan(
  plan: FaultPlan,
  stillFails: (plan: FaultPlan) => Promise<boolean>,
): Promise<FaultPlan> {
  let runs = 0
  const fails = async (candidate: FaultPlan): Promise<boolean> =>
    ++runs <= MAX_RUNS && (await stillFails(candidate))

  let smallest = plan
  for (let size = smallest.length; size >= 1; size = Math.min(size >> 1, smallest.length)) {
    for (let at = 0; at < smallest.length;) {
      const without = [...smallest.slice(0, at), ...smallest.slice(at + size)]
      if (await fails(without)) smallest = without
      else at += size
    }
  }
  for (let at = 0; at < smallest.length; at++) {
    for (let milder = simpler(smallest[at]!); milder !== undefined; milder = simpler(milder)) {
      const candidate = smallest.with(at, milder)
      if (!(await fails(candidate))) break
      smallest = candidate
    }
  }
  return smallest
}

/** A fault of half the length; nothing if it is short already. */
function simpler(fault: Fault): Fault | undefined {
  if (!('forMs' in fault) || fault.forMs < 2) return undefined
  return { ...fault, forMs: Math.ceil(fault.forMs / 2) }
}
