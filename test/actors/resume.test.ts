import { cp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Troupe, type JobDone, type JobEvent } from 'troupe'
import { runJob, type JobHandle } from 'troupe/actors'
import odd from '../fixtures/jobs/odd.js'
import { runRugged, type JobRun, type RuggedOptions } from '../helpers/job-run.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

/** Long enough that a stop comes in the middle. */
const ARGS = { rows: 970, epochs: 2 }
const STOP_AT = 40

const run = (
  directory: string,
  more: RuggedOptions = {},
  onStep?: (step: number, job: JobHandle) => void,
): Promise<JobRun> =>
  runRugged(
    { args: ARGS, checkpoints: { directory, everySteps: 25, keepLast: 2 }, ...more },
    (event, job) => {
      if (event.event === 'step') onStep?.(event.step, job)
    },
  )

const resume = (directory: string, more: RuggedOptions = {}): Promise<JobRun> =>
  run(directory, { resume: true, ...more })

const place = t.testdir({})
const clean = await runRugged({ args: ARGS })
const stopped = await run(join(place, 'stopped'), {}, (step, job) => {
  if (step === STOP_AT) void job.stop()
})

/** Steps of the checkpoints that it left, oldest first. */
const steps = (await readdir(join(place, 'stopped', 'g0001')))
  .flatMap(name => (name.startsWith('step-') ? [Number(name.slice('step-'.length))] : []))
  .sort((a, b) => a - b)
const [last = 0] = steps.slice(-1)

const copied = async (name: string): Promise<string> => {
  await cp(join(place, 'stopped'), join(place, name), { recursive: true })
  return join(place, name)
}

function unharmed(t: Test, resumed: JobRun, from: number): void {
  t.equal(resumed.done?.weightsSha256, clean.done!.weightsSha256, 'weights and statistics')
  t.equal(resumed.done?.slotsSha256, clean.done!.slotsSha256, 'slots')
  t.strictSame(resumed.history, clean.history.slice(from), 'loss history from there on')
  t.strictSame(resumed.done?.result, clean.done!.result, 'what main returned: all epochs')
}

t.test('a job that is stopped leaves a last checkpoint', async t => {
  t.equal(stopped.done, undefined)
  t.ok(last >= STOP_AT, `${last}`)
  t.equal(steps.length, 2, 'and one before it')
  const told = stopped.events.flatMap(event => (event.event === 'checkpoint' ? [event.step] : []))
  t.ok((told.at(-1) ?? 0) >= STOP_AT, 'which is told of before the job stops')
})

t.test('it goes on at the row, on as many servers or others, and ends as if it had not stopped', async t => {
  for (const parameterServers of [2, 1, 3]) {
    await t.test(`on ${parameterServers}`, async t => {
      const resumed = await resume(await copied(`on-${parameterServers}`), { parameterServers })
      t.match(resumed.events[0], { event: 'started', resumed: { step: last } })
      unharmed(t, resumed, last)
      t.match(resumed.done, { exact: true, restarts: 0, checkpoint: /g0002\/step-\d+$/ })
    })
  }
})

t.test('it goes on through failures, and from the one before where the newest is damaged', async t => {
  const directory = await copied('damaged')
  const newest = join(directory, 'g0001', `step-${String(last).padStart(9, '0')}`)
  await writeFile(join(newest, 'shard-00-of-02.safetensors'), 'gone')
  const kills = ['ps-0@60', 'supervisor@80']
  const resumed = await resume(directory, { kills })
  unharmed(t, resumed, steps[0]!)
  t.match(resumed.done, { exact: true, restarts: 2 })
  t.match(resumed.warnings, [/a newer checkpoint cannot be used: .*shard-00-of-02.safetensors has 4 bytes/])
})

t.test('what is not this job is refused; what may compute otherwise is said', async t => {
  const directory = join(place, 'stopped')
  await t.rejects(resume(directory, { workers: 3 }), {
    code: 'ERR_RESUME',
    message: /is of a job whose workers is 2; that of this one is 3/,
  })
  await t.rejects(resume(directory, { seed: 2 }), { code: 'ERR_RESUME' })
  await t.rejects(resume(directory, { name: 'other' }), { code: 'ERR_RESUME' })
  await t.rejects(run(directory), { code: 'ERR_RESUME', message: /holds checkpoints already/ })
  await t.rejects(resume(join(place, 'nowhere')), { code: 'ERR_CHECKPOINT_NONE' })
  await t.rejects(runRugged({ resume: true }), { code: 'ERR_INVALID_OPTION', message: /resume needs/ })
  const changed = await resume(await copied('changed'), { args: { ...ARGS, epochs: 1 } })
  t.match(changed.done, { exact: false, exactNote: /^since step \d+: argument epochs was 2 and is 1$/ })
  await rm(place, { recursive: true })
})

t.test('a program may ask for a checkpoint between two steps, whoever dies of it', async t => {
  const module = new URL('../fixtures/jobs/odd.ts', import.meta.url).href
  const ask = async (name: string, kills: string[], resume = false): Promise<[JobEvent[], JobDone]> => {
    await using troupe = await Troupe.start()
    const checkpoints = { directory: join(place, name), everySteps: 1000 }
    const size = { workers: 2, parameterServers: 2, backend: 'js' } as const
    const job = await runJob(troupe, odd, {
      module,
      args: { mode: 'checkpoint' },
      checkpoints,
      kills,
      resume,
      ...size,
    })
    const events: JobEvent[] = []
    for await (const event of job.events) events.push(event)
    return [events, await job.done]
  }
  const [events, done] = await ask('asked', [])
  t.match(done, { exact: true, result: { step: 4 }, steps: 8 })
  t.strictSame(
    events.flatMap(event => (event.event === 'checkpoint' ? [event.step] : [])),
    [0, 4, 8],
    'the first, the one asked for, the last',
  )
  const [, killed] = await ask('asked-killed', ['supervisor@4/during-checkpoint', 'ps-1@6'])
  t.match(killed, { exact: true, restarts: 2, result: { step: 4 }, weightsSha256: done.weightsSha256 })
  await rm(join(place, 'asked', 'g0001', 'step-000000008'), { recursive: true })
  const [resumed, again] = await ask('asked', [], true)
  t.match(
    resumed[0],
    { event: 'started', resumed: { step: 4 } },
    'what was asked for is what a job goes on from',
  )
  t.match(again, { exact: true, result: { step: 4 }, weightsSha256: done.weightsSha256 })
})
