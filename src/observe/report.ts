import type { JobDone } from '../program/events.js'
import { STEP_PHASES, type PhaseTimes } from '../training/step-phase.js'
import { count, duration, percent, plural } from './figures.js'

/** A worker is called a straggler when the others waited for it at least this part of their time. */
const STRAGGLER_PART = 0.02

/** Who held the others up, and for how long. */
export interface Straggler {
  readonly worker: string
  /** Mean over the others of what they waited longer at the barrier than it did. */
  readonly seconds: number
}

/**
 * The worker that the others waited for. At a barrier the slowest waits least, so the one with the least time
 * there was the slowest; undefined when workers are even, or there is only one.
 */
export function straggler(phases: Readonly<Record<string, PhaseTimes>>): Straggler | undefined {
  const workers = Object.entries(phases)
  if (workers.length < 2) return undefined
  const [slowest, ...others] = workers.toSorted(([, a], [, b]) => a.barrier - b.barrier)
  if (slowest === undefined) return undefined
  const waitedMs =
    others.reduce((sum, [, times]) => sum + times.barrier - slowest[1].barrier, 0) / others.length
  const stepMs = others.reduce((sum, [, times]) => sum + total(times), 0) / others.length
  if (waitedMs < STRAGGLER_PART * stepMs) return undefined
  return { worker: slowest[0], seconds: waitedMs / 1000 }
}

/** What a person reads when a job has ended well. */
export function reportLines(done: JobDone): string[] {
  const lines = [
    '',
    `done in ${duration(done.seconds)}: ${plural(done.steps, 'step')}, ${count(done.rowsPerSecond)} rows/s, ` +
      `${plural(done.restarts, 'restart')}, backend ${done.backend}`,
  ]
  const own = Object.entries(done.workerSteps)
  // In exact mode all have made all of them.
  if (own.some(([, steps]) => steps !== done.steps)) {
    lines.push(`steps  ${own.map(([worker, steps]) => `${worker} ${count(steps)}`).join(', ')}`)
  }
  if (done.accuracy !== null) lines.push(`test accuracy  ${percent(done.accuracy)}`)
  lines.push(...phaseTable(done.phases))
  lines.push(`weights SHA-256  ${done.weightsSha256}`)
  lines.push(`exact  ${exactness(done)}`)
  if (done.checkpoint !== null) lines.push(`checkpoint  ${done.checkpoint}`)
  return lines
}

function exactness(done: JobDone): string {
  if (!done.exact) return `no: ${done.exactNote ?? 'no reason was given'}`
  if (done.restarts === 0)
    return 'yes: another run with this seed, number of workers and backend gives these weights, bit by bit'
  return 'yes: bit by bit the weights of a run in which nothing fails'
}

function phaseTable(phases: Readonly<Record<string, PhaseTimes>>): string[] {
  const workers = Object.entries(phases)
  if (workers.length === 0) return []
  const nameWidth = Math.max(...workers.map(([name]) => name.length))
  const row = (name: string, cells: readonly string[]): string =>
    `  ${name.padEnd(nameWidth)}  ${cells.map(cell => cell.padStart(8)).join('')}`
  const lines = ['where step time went', row('', [...STEP_PHASES, 'total'])]
  for (const [name, times] of workers) {
    const sum = total(times)
    const parts = STEP_PHASES.map(phase => (sum === 0 ? '-' : percent(times[phase] / sum, 1)))
    lines.push(row(name, [...parts, duration(sum / 1000)]))
  }
  const slow = straggler(phases)
  if (slow !== undefined) {
    lines.push(`  straggler: ${slow.worker}; the others waited ${duration(slow.seconds)} for it`)
  } else if (workers.length > 1) {
    lines.push('  no straggler: the workers are even')
  }
  return lines
}

function total(times: PhaseTimes): number {
  return STEP_PHASES.reduce((sum, phase) => sum + times[phase], 0)
}
