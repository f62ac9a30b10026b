import t from 'tap'
import { Troupe, type JobDone, type JobEvent } from 'troupe'
import { runJob, type JobHandle, type RunJobOptions } from 'troupe/actors'
import tiny from '../fixtures/jobs/tiny.js'

const module = new URL('../fixtures/jobs/tiny.ts', import.meta.url).href

async function collect(job: JobHandle): Promise<JobEvent[]> {
  const events: JobEvent[] = []
  for await (const event of job.events) events.push(event)
  return events
}

async function run(options: Partial<RunJobOptions> = {}): Promise<{ events: JobEvent[]; done: JobDone }> {
  await using troupe = await Troupe.start()
  const job = await runJob(troupe, tiny, { module, backend: 'wasm', ...options })
  const events = await collect(job)
  return { events, done: await job.done }
}

t.test('debug', async t => {
  const { events, done } = await run({ kills: ['worker-1@10/after-push:ps-0'] })
  console.error(events.filter(e => e.event !== 'step'), done)
  t.ok(done.exact)
})
