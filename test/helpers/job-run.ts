import { Troupe, type JobDone, type JobEvent, type JobFailure, type JobRestored } from 'troupe'
import { runJob, type JobHandle, type RunJobOptions } from 'troupe/actors'
import rugged from '../fixtures/jobs/rugged.js'

const RUGGED = new URL('../fixtures/jobs/rugged.ts', import.meta.url).href

export type RuggedOptions = Partial<RunJobOptions<{ epochs?: number; rows?: number; saveTo?: string }>>

/** What a run of the rugged job left behind. */
export interface JobRun {
  readonly events: readonly JobEvent[]
  /** Undefined if it was stopped. */
  readonly done: JobDone | undefined
  /** Step, rows, loss and metrics of each step that was told of. */
  readonly history: readonly unknown[]
  readonly failures: readonly JobFailure[]
  readonly restored: readonly JobRestored[]
  /** Lines of level `warn` or `error`. */
  readonly warnings: readonly string[]
  /** By path, of the actors at the start and at the end. */
  readonly incarnations: { readonly before: Record<string, number>; readonly after: Record<string, number> }
}

/** Runs the rugged job to its end, or until `onEvent` stops it. */
export async function runRugged(
  options: RuggedOptions = {},
  onEvent: (event: JobEvent, job: JobHandle, troupe: Troupe) => void = () => undefined,
): Promise<JobRun> {
  await using troupe = await Troupe.start()
  const job = await runJob(troupe, rugged, { module: RUGGED, backend: 'wasm', ...options })
  const events: JobEvent[] = []
  let before: Record<string, number> = {}
  let after: Record<string, number> = {}
  for await (const event of job.events) {
    events.push(event)
    if (event.event === 'started') before = incarnationsOf(troupe)
    // Before the handle has stopped everything.
    if (event.event === 'step' || event.event === 'restored') after = incarnationsOf(troupe)
    onEvent(event, job, troupe)
  }
  const done = events.find(event => event.event === 'done')
  return {
    events,
    done,
    history: events.flatMap(event =>
      event.event === 'step' ? [[event.step, event.rows, event.loss, event.metrics]] : [],
    ),
    failures: events.filter(event => event.event === 'failure'),
    restored: events.filter(event => event.event === 'restored'),
    warnings: events.flatMap(event =>
      event.event === 'log' && (event.level === 'warn' || event.level === 'error') ? [event.message] : [],
    ),
    incarnations: { before, after },
  }
}

function incarnationsOf(troupe: Troupe): Record<string, number> {
  const job = troupe.inspect().children.find(({ type }) => type === 'job-supervisor')
  if (job === undefined) return {}
  const entries = job.children.map(
    ({ path, incarnation }) => [path.slice(job.path.length + 1), incarnation] as const,
  )
  return { supervisor: job.incarnation, ...Object.fromEntries(entries) }
}
