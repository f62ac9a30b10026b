import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CheckpointStore, LocalFiles, Troupe, type JobDone, type JobEvent } from 'troupe'
import { runJob, type JobHandle, type RunJobOptions } from 'troupe/actors'
import { decodeJobState, JournalReader, SamplePlan, WEIGHTS_KIND } from 'troupe/training'
import tally, { BATCH_SIZE, ROWS, VARIABLES, type TallyArgs } from '../fixtures/jobs/tally.js'
import { runRugged } from '../helpers/job-run.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const TALLY = new URL('../fixtures/jobs/tally.ts', import.meta.url).href
const EPOCHS = 3
const WORKERS = 2
const PLAN = new SamplePlan({ seed: 1, rows: ROWS, ranks: WORKERS, batchSize: BATCH_SIZE, shuffle: true })
/** Of each worker. */
const STEPS = EPOCHS * PLAN.stepsPerEpoch
/** Enough that a stop comes in the middle. */
const MANY_EPOCHS = 20

const place = t.testdir({})

interface Run {
  readonly directory: string
  readonly events: readonly JobEvent[]
  /** Undefined if it was stopped. */
  readonly done: JobDone | undefined
}

async function run(
  name: string,
  options: Partial<RunJobOptions<TallyArgs>> = {},
  onEvent: (event: JobEvent, job: JobHandle) => void = () => undefined,
): Promise<Run> {
  const directory = join(place, name)
  await using troupe = await Troupe.start()
  const job = await runJob(troupe, tally, {
    module: TALLY,
    backend: 'js',
    staleness: 2,
    ...options,
    checkpoints: { directory, everySteps: 6 },
  })
  const events: JobEvent[] = []
  for await (const event of job.events) {
    events.push(event)
    onEvent(event, job)
  }
  return { directory, events, done: events.find(event => event.event === 'done') }
}

/** What the servers had at the end: how often each row was applied, by variable, and what is known of each rank. */
async function evidence({ directory }: Run) {
  const { checkpoint } = await new CheckpointStore(new LocalFiles(directory)).requireNewest()
  const { training } = decodeJobState(await checkpoint.readState())
  const weights = VARIABLES.map(variable => ({ variable, into: new Float32Array(ROWS) }))
  await checkpoint.load(weights.map(each => ({ ...each, kind: WEIGHTS_KIND, offset: 0 })))
  return {
    step: checkpoint.entry.step,
    next: training.next,
    applied: weights.map(({ into }) => Array.from(new Set(into))),
    rows: training.journals.map(image => {
      const reader = new JournalReader(image)
      return Array.from({ length: image.steps }, (_, step) => reader.entry(step)!.rows)
    }),
  }
}

/** What {@link evidence} is where each step was applied once on every server, with the batch that the plan has for it. */
function flawless(epochs = EPOCHS): Awaited<ReturnType<typeof evidence>> {
  const steps = epochs * PLAN.stepsPerEpoch
  const planned = (rank: number): number[] =>
    Array.from({ length: steps }, (_, step) => PLAN.size(step % PLAN.stepsPerEpoch, rank))
  return {
    step: WORKERS * steps,
    next: [steps, steps],
    applied: [[epochs], [epochs]],
    rows: [planned(0), planned(1)],
  }
}

async function once(t: Test, run: Run, epochs = EPOCHS): Promise<void> {
  const expected = flawless(epochs)
  t.strictSame(
    await evidence(run),
    expected,
    'each row once an epoch on every server, each step once in ledger and journal',
  )
  const [steps] = expected.next
  t.match(run.done, { steps: expected.step, workerSteps: { 'worker-0': steps, 'worker-1': steps } })
}

/** Steps that were told of, by worker. */
function told({ events }: Run): Record<string, number[]> {
  const steps: Record<string, number[]> = {}
  for (const event of events)
    if (event.event === 'step') (steps[event.worker ?? 'all'] ??= []).push(event.step)
  return steps
}

function happened(t: Test, { events }: Run, kills: readonly string[]): void {
  const faults = events.flatMap(event => (event.event === 'failure' ? [event.fault] : []))
  t.strictSame(new Set(faults), new Set(kills), 'every kill happened')
  t.equal(faults.length, kills.length, 'once')
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)
const ALL = numbers(1, STEPS)

t.test(
  'workers, feeder and supervisor die, also between two pushes: no batch is lost or doubled',
  async t => {
    const kills = [
      'worker-1@3',
      'worker-0@5/after-push:ps-0',
      'worker-1@7/after-push:ps-1',
      'feeder@8',
      'supervisor@12',
      'supervisor@17',
      'worker-0@11/after-push:ps-0',
    ]
    const got = await run('workers', { kills })
    await once(t, got)
    happened(t, got, kills)
    t.strictSame(told(got), { 'worker-0': ALL, 'worker-1': ALL }, 'each step is told of once')
    t.match(got.events[0], { event: 'started', staleness: 2, totalSteps: null })
    t.match(got.done, {
      exact: false,
      exactNote: 'async, staleness 2',
      restarts: kills.length,
      result: { steps: STEPS },
    })
  },
)

t.test('servers die, also in a checkpoint and in a recovery: no batch is lost or doubled', async t => {
  const kills = [
    'ps-0@8',
    'worker-1@6/after-push:ps-0',
    'ps-1@13/during-checkpoint',
    'ps-1@22',
    'ps-0@22/during-recovery:ps-1',
  ]
  const got = await run('servers', { kills, staleness: Infinity })
  await once(t, got)
  happened(t, got, kills)
  t.strictSame(told(got), { 'worker-0': ALL, 'worker-1': ALL })
  t.match(got.events[0], { event: 'started', staleness: null })
  t.match(got.done, { exact: false, exactNote: 'async, staleness Infinity' })
})

t.test(
  'a job that was stopped goes on where each worker stood, on other servers and with another bound',
  async t => {
    const args = { epochs: MANY_EPOCHS }
    const stopped = await run('stopped', { args }, (event, job) => {
      if (event.event === 'step' && event.step === 4) void job.stop()
    })
    t.equal(stopped.done, undefined)
    await t.rejects(run('stopped', { args, resume: true, staleness: 0 }), {
      code: 'ERR_RESUME',
      message: /is of a job whose mode is async, staleness 2; that of this one is exact \(staleness 0\)/,
    })
    const before = await evidence(stopped)
    t.equal(
      before.next.reduce((sum, steps) => sum + steps, 0),
      before.step,
      'the cut has whole steps of each',
    )
    const resumed = await run('stopped', {
      args,
      resume: true,
      staleness: 1,
      parameterServers: 3,
      kills: [`ps-2@${before.step + 20}`],
    })
    t.match(resumed.events[0], { event: 'started', resumed: { step: before.step } })
    await once(t, resumed, MANY_EPOCHS)
    const after = before.next.map(steps => numbers(steps + 1, MANY_EPOCHS * PLAN.stepsPerEpoch))
    t.strictSame(told(resumed), { 'worker-0': after[0], 'worker-1': after[1] }, 'from there on')
  },
)

t.test('a Layers program trains with validations, dropout and statistics, whoever dies of it', async t => {
  const kills = ['worker-1@4', 'worker-0@8/during-validation', 'ps-1@25', 'worker-1@20/after-push:ps-0']
  const { done, failures, history } = await runRugged({
    staleness: 1,
    kills,
    checkpoints: { everySteps: 10 },
  })
  t.match(done, { workerSteps: { 'worker-0': 21, 'worker-1': 21 }, exact: false, result: { epochs: 3 } })
  t.equal(history.length, 42)
  t.strictSame(new Set(failures.map(({ fault }) => fault)), new Set(kills))
  const { history: seen } = done!.result as { history: Record<string, number[]> }
  t.ok(seen['val_loss']![2]! < seen['val_loss']![0]!, 'it learns')
})

t.test('a bound that is none is refused', async t => {
  for (const staleness of [-1, 1.5, Number.NaN]) {
    await t.rejects(run('refused', { staleness }), {
      code: 'ERR_INVALID_OPTION',
      message: /bad job option 'staleness': got .*; it must be a whole number from 0, or Infinity/,
    })
  }
})
