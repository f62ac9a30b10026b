import type { JobEvent, JobRestored, JobStarted, Logs } from '../program/events.js'
import { clockTime, count, decimal, duration, percent, plural } from './figures.js'
import type { RunProgress } from './run-progress.js'

/** What just happened, as a line or two to keep; undefined for what only moves the status. */
export function happening(event: JobEvent): string | undefined {
  switch (event.event) {
    case 'started':
      return `${startedLine(event)}\n  ${backendLine(event)}`
    case 'failure': {
      const where = event.step === null ? '' : ` at step ${count(event.step)}`
      const planned = event.fault === null ? '' : `, as planned: ${event.fault}`
      return `! ${event.actor} went down${where}: ${event.reason}${planned}`
    }
    case 'restored':
      return `+ ${event.actor}: ${event.reason}; ${returnText(event)}; ${duration(event.seconds)}`
    case 'epochEnd':
      return `  epoch ${event.epoch + 1} ended at step ${count(event.step)}: ${logsText(event.logs)}`
    case 'log':
      return `  ${event.actor} ${event.level === 'info' ? '' : `${event.level} `}| ${event.message}`
    case 'step':
    case 'checkpoint':
    case 'done':
      return undefined
  }
}

/** `restored at step 1,200, 3 steps replayed from the journal` */
function returnText({ step, replayedSteps, recomputedSteps }: JobRestored): string {
  const parts = [`restored at step ${count(step)}`]
  if (replayedSteps > 0) parts.push(`${plural(replayedSteps, 'step')} replayed from the journal`)
  if (recomputedSteps > 0) parts.push(`${plural(recomputedSteps, 'step')} computed again by every worker`)
  return parts.join(', ')
}

function startedLine(event: JobStarted): string {
  const versions = Object.entries(event.versions).map(([name, version]) => `${name} ${version}`)
  const rows = event.rowsPerEpoch === null ? [] : [`${count(event.rowsPerEpoch)} rows an epoch`]
  const steps = event.totalSteps === null ? [] : [plural(event.totalSteps, 'step')]
  return [
    `${event.job}: ${plural(event.workers, 'worker')}`,
    plural(event.parameterServers, 'parameter server'),
    ...rows,
    ...steps,
    ...(event.staleness === 0 ? [] : [`async, staleness ${event.staleness ?? Infinity}`]),
    `seed ${event.seed}`,
    `backend ${event.backend} (${versions.join(', ')})`,
    ...(event.resumed === null
      ? []
      : [`goes on after step ${count(event.resumed.step)} from ${event.resumed.checkpoint}`]),
  ].join(', ')
}

/** `native on 1 thread`, what decides about bits, and why this backend. */
function backendLine({ backend, backendWhy, compute }: JobStarted): string {
  return `${backend}: threads ${compute.threads}; ${compute.isa}; since ${backendWhy}`
}

/** The pieces of the status, each as wide as its neighbours in time, so that a terminal's line does not dance. */
export function statusParts(progress: RunProgress, atMs: number): { place: string; figures: string } {
  const total = progress.totalSteps
  const place = [
    `epoch ${progress.epoch + 1}`,
    total === null
      ? `step ${count(progress.step)}`
      : `step ${count(progress.step).padStart(count(total).length)}/${count(total)}`,
  ]
  const finishing = progress.fraction === 1
  const left = progress.secondsLeft(atMs)
  if (finishing) place.push('all steps made')
  else if (left !== undefined) place.push(`${clockTime(left)} left`)
  const rate = progress.rowsPerSecond(atMs)
  const figures = finishing ? [] : [rate === undefined ? '- rows/s' : `${count(rate)} rows/s`]
  if (progress.loss !== undefined) figures.push(`loss ${decimal(progress.loss)}`)
  if (Object.keys(progress.metrics).length > 0) figures.push(logsText(progress.metrics))
  figures.push(plural(progress.restarts, 'restart'))
  if (progress.checkpoint !== undefined) figures.push(`checkpoint ${count(progress.checkpoint.step)}`)
  if (progress.down.size > 0) figures.push(`waiting for ${[...progress.down].join(', ')}`)
  return { place: place.join('  '), figures: figures.join('  ') }
}

/** The status as one line of plain text. */
export function statusLine(progress: RunProgress, atMs: number): string {
  const { place, figures } = statusParts(progress, atMs)
  const part = progress.fraction
  return `  ${place}${part === undefined ? '' : `  ${percent(part, 0)}`}  ${figures}`
}

/** tfjs shortens this one. */
const METRIC_NAMES: Readonly<Record<string, string>> = { acc: 'accuracy', val_acc: 'val_accuracy' }

function logsText(logs: Logs): string {
  return Object.entries(logs)
    .map(([name, value]) => `${METRIC_NAMES[name] ?? name} ${decimal(value)}`)
    .join('  ')
}
