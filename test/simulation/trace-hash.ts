import { simulate, type FaultPlan } from 'troupe/testing'
import { workload, workloadOptions } from './workload.js'

/** One of many kinds, so that the trace has something of each. */
export const TRACED_FAULTS: FaultPlan = [
  { kind: 'drop', atMs: 200, forMs: 500, probability: 0.2 },
  { kind: 'duplicate', atMs: 300, forMs: 500, probability: 0.3, delayMs: 50 },
  { kind: 'reorder', atMs: 400, forMs: 500, probability: 0.3, delayMs: 30 },
  { kind: 'crash', atMs: 700, node: 'b', restartAfterMs: 300 },
  { kind: 'partition', atMs: 900, forMs: 400, from: ['a'] },
  { kind: 'pause', atMs: 1_000, forMs: 300, node: 'c' },
  { kind: 'expel', atMs: 1_500, node: 'a', restartAfterMs: 400 },
]

/** The hash of the workload's trace. */
export async function traceHash(seed: number): Promise<string> {
  const report = await simulate({ ...workloadOptions, seed, faults: TRACED_FAULTS }, workload)
  return report.traceSha256
}

// as a program, for the test that compares processes
if (process.argv[1]?.includes('trace-hash') === true) {
  process.stdout.write(`${await traceHash(Number(process.argv[2]))}\n`)
}
