import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  arrays,
  causalChain,
  Troupe,
  type DatasetRequest,
  type Isolation,
  type JobDone,
  type JobEvent,
  type TroupeOptions,
} from 'troupe'
import {
  Feeder,
  JobSupervisor,
  ParameterServer,
  runJob,
  Worker,
  type JobHandle,
  type RunJobOptions,
} from 'troupe/actors'
import { BatchRing } from 'troupe/training'
import odd from '../fixtures/jobs/odd.js'
import tiny from '../fixtures/jobs/tiny.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const TINY = new URL('../fixtures/jobs/tiny.ts', import.meta.url).href
const ODD = new URL('../fixtures/jobs/odd.ts', import.meta.url).href

interface Run {
  readonly events: JobEvent[]
  readonly done: JobDone
}

async function collect(
  job: JobHandle,
  onEvent: (event: JobEvent) => void = () => undefined,
): Promise<JobEvent[]> {
  const events: JobEvent[] = []
  for await (const event of job.events) {
    events.push(event)
    onEvent(event)
  }
  return events
}

/** @param onEvent may break things */
async function runTiny(
  options: Partial<RunJobOptions<{ epochs?: number }>> = {},
  onEvent: (event: JobEvent, troupe: Troupe) => void = () => undefined,
  runtime: TroupeOptions = {},
): Promise<Run> {
  await using troupe = await Troupe.start(runtime)
  const job = await runJob(troupe, tiny, { module: TINY, backend: 'wasm', ...options })
  const events = await collect(job, event => onEvent(event, troupe))
  return { events, done: await job.done }
}

async function runOdd(
  mode: string,
  options: Partial<RunJobOptions<{ mode: string }>> = {},
): Promise<{ events: JobEvent[]; error: unknown; done?: JobDone }> {
  await using troupe = await Troupe.start()
  const job = await runJob(troupe, odd, { module: ODD, backend: 'js', args: { mode }, ...options })
  const events: JobEvent[] = []
  try {
    for await (const event of job.events) events.push(event)
    return { events, error: undefined, done: await job.done }
  } catch (error) {
    const doneError = await job.done.catch((reason: unknown) => reason)
    if (doneError !== error) throw new Error('done and events fail differently', { cause: error })
    return { events, error }
  }
}

function history({ events }: Run): unknown[] {
  return events.flatMap(event =>
    event.event === 'step' ? [[event.step, event.rows, event.loss, event.metrics]] : [],
  )
}

function same(t: Test, got: Run, expected: Run, what: string): void {
  t.equal(got.done.weightsSha256, expected.done.weightsSha256, `${what}: weights`)
  t.strictSame(history(got), history(expected), `${what}: history`)
  t.strictSame(got.done.result, expected.done.result, `${what}: what main returned`)
  t.ok(got.done.exact, `${what}: exact`)
}

const EPOCH = ['step', 'step', 'step', 'step', 'step', 'step', 'step', 'epochEnd']

const clean = await runTiny()

t.test('a job tells what happens, from its start to its weights', async t => {
  const { events, done } = clean
  t.match(events[0], {
    event: 'started',
    job: 'job',
    backend: 'wasm',
    backendWhy: 'it was asked for',
    workers: 2,
    parameterServers: 2,
    totalSteps: 21,
    rowsPerEpoch: 97,
  })
  t.strictSame(
    events.slice(1).map(event => event.event),
    [...EPOCH, ...EPOCH, ...EPOCH, 'done'],
  )
  const steps = events.filter(event => event.event === 'step')
  t.match(steps.at(-1), { step: 21, epoch: 2, rows: 1, totalSteps: 21 })
  const ends = events.filter(event => event.event === 'epochEnd')
  t.ok(ends[2]!.logs['loss']! < ends[0]!.logs['loss']!)
  t.match(done, {
    steps: 21,
    restarts: 0,
    exact: true,
    exactNote: null,
    backend: 'wasm',
    weightsSha256: /^[0-9a-f]{64}$/,
  })
  t.strictSame(Object.keys(done.phases), ['worker-0', 'worker-1'])
  t.ok(Object.values(done.phases['worker-1']!).every(ms => ms >= 0))
  t.ok(done.phases['worker-1']!.compute > 0)
})

t.test('killed workers come back, and nothing else changes', async t => {
  const kills = ['worker-1@10', 'worker-1@12/after-push:ps-0', 'worker-0@21/after-push:ps-1']
  const killed = await runTiny({ kills })
  same(t, killed, clean, 'kills')
  t.equal(killed.done.restarts, 3)
  const failures = killed.events.filter(event => event.event === 'failure')
  t.strictSame(
    failures.map(event => [event.actor, event.reason, event.step, event.fault]),
    [
      ['worker-1', 'killed', 10, 'worker-1@10'],
      ['worker-1', 'killed', 12, 'worker-1@12/after-push:ps-0'],
      ['worker-0', 'killed', 21, 'worker-0@21/after-push:ps-1'],
    ],
  )
  const restored = killed.events.filter(event => event.event === 'restored')
  t.match(restored, [
    { actor: 'worker-1', step: 10, replayedSteps: 9 },
    { actor: 'worker-1', step: 12, replayedSteps: 11 },
    { actor: 'worker-0', replayedSteps: Number },
  ])
  t.ok(restored.every(event => event.seconds > 0))
})

t.test("the job's actors send nothing but what travels: strict payloads change no bit", async t => {
  const strict = await runTiny({ kills: ['worker-0@9'], spareThreads: 1 }, undefined, {
    strictPayloads: true,
  })
  same(t, strict, clean, 'strict')
  t.equal(strict.done.restarts, 1)
})

t.test('an actor that is killed from outside is started again, and the job stays exact', async t => {
  let fed = false
  let worked = false
  const disturbed = await runTiny({ parameterServers: 3 }, (event, troupe) => {
    if (event.event !== 'step') return
    if (event.step >= 5 && !worked) troupe.kill(troupe.lookup(Worker, '/job/worker-0'))
    worked ||= event.step >= 5
    if (event.step >= 14 && !fed) troupe.kill(troupe.lookup(Feeder, '/job/feeder'))
    fed ||= event.step >= 14
  })
  same(t, disturbed, clean, 'worker and feeder')
  t.equal(disturbed.done.restarts, 2, 'a new feeder takes up where the old one was, and no worker notices')
  t.match(
    disturbed.events.find(event => event.event === 'failure'),
    { actor: 'worker-0', reason: 'killed', fault: null },
  )
})

t.test(
  'a parameter server that is killed from outside takes everybody back, and the job stays exact',
  async t => {
    let killed = false
    const disturbed = await runTiny({ checkpoints: { everySteps: 4 } }, (event, troupe) => {
      if (event.event !== 'step' || killed || event.step < 9) return
      killed = true
      troupe.kill(troupe.lookup(ParameterServer, '/job/ps-1'))
    })
    same(t, disturbed, clean, 'server')
    t.match(
      disturbed.events.find(event => event.event === 'failure'),
      { actor: 'ps-1', reason: 'killed', fault: null },
    )
  },
)

t.test('a program that fails before it trains ends the job at once; later it is started again', async t => {
  const [thrown, exited, diverged, later] = await Promise.all([
    runOdd('throw'),
    runOdd('exit'),
    runOdd('diverge', { workers: 2 }),
    runOdd('throw-later'),
  ])
  const chain = causalChain(thrown.error)
  t.match(
    chain.join('\n'),
    /ERR_PROGRAM_FAILED: worker-0 failed after 0 steps of its own[^]*RangeError: user code says no/,
  )
  t.equal(thrown.events.filter(event => event.event === 'failure').length, 0)
  t.match(causalChain(exited.error).join('\n'), /ERR_RESTART_INTENSITY[^]*ERR_THREAD_EXITED: .*with code 3/)
  t.equal(exited.events.filter(event => event.event === 'failure').length, 3, 'it may have been an accident')
  t.match(causalChain(diverged.error).join('\n'), /ERR_RANKS_DIVERGED: the variables of rank 1 differ/)
  t.match(later.done, { restarts: 1, exact: true, steps: 16, result: { replayed: true } })
  t.match(
    later.events.filter(event => event.event === 'failure'),
    [{ actor: 'worker-0', reason: 'RangeError: a bad moment', fault: null }],
  )
})

t.test('nobody waits for a worker whose program has ended: the ranks diverged', async t => {
  const modes = ['uneven', 'idle-chief', 'lonely-once']
  const [uneven, idle, lonely] = await Promise.all(modes.map(async mode => runOdd(mode, { workers: 2 })))
  const chain = (run: typeof uneven): string => causalChain(run!.error).join('\n')
  t.match(
    chain(uneven),
    /ERR_RANKS_DIVERGED: the program of rank 0 ended after 4 steps, but rank 1 made step 5/,
  )
  t.match(chain(idle), /ERR_RANKS_DIVERGED: rank 1 trains, but the program of rank 0 ended without/)
  t.match(chain(lonely), /ERR_RANKS_DIVERGED: a worker waits for ctx.once at 0\/once what\/0/)
})

t.test('planned kills do not use up restarts, however many there are in one step', async t => {
  const kills = [
    'worker-0@1',
    'worker-0@1',
    'worker-1@1',
    'worker-1@1/after-push:ps-0',
    'worker-0@1/after-push:ps-0',
  ]
  const killed = await runTiny({ kills })
  same(t, killed, clean, 'five kills in the first step')
  t.equal(killed.done.restarts, 5)
})

t.test('a job can be stopped; its programs hear of it; what they print is in its log', async t => {
  await using troupe = await Troupe.start()
  const job = await runJob(troupe, odd, {
    module: ODD,
    name: 'waiting',
    backend: 'js',
    args: { mode: 'signal' },
    kills: ['worker-0@7'],
  })
  const logs: string[] = []
  for await (const event of job.events) {
    if (event.event === 'log') logs.push(`${event.level} ${event.actor}: ${event.message}`)
    if (logs.length === 1) void job.stop()
  }
  t.strictSame(logs, ['info worker-0: rank 0 is waiting', 'warn worker-0: told to stop'])
  await t.rejects(job.done, { code: 'ERR_JOB_STOPPED', message: /job waiting was stopped/ })
  await job.stop()
  const again = await runJob(troupe, odd, {
    module: ODD,
    name: 'waiting',
    args: { mode: 'partition' },
    kills: ['worker-0@7'],
  })
  const events = await collect(again)
  t.match(
    events.findLast(event => event.event === 'log'),
    {
      actor: 'job',
      message: /kill worker-0@7 never happened/,
    },
  )
})

t.test('a worker whose successor has come gets no more data, and takes none from it', async t => {
  await using troupe = await Troupe.start()
  for (const isolation of ['inline', 'thread'] as const) await feeds(t, troupe, isolation)
})

async function feeds(t: Test, troupe: Troupe, isolation: Isolation): Promise<void> {
  const args = { job: { seed: 1, workers: 1, kills: [] }, supervisor: troupe.lookup(JobSupervisor, '/job') }
  const feeder = await troupe.spawn(Feeder, { name: `feeder-${isolation}`, isolation, args })
  const rows = Float32Array.of(1, 2, 3, 4)
  const request: DatasetRequest = {
    ask: 'dataset',
    index: 0,
    descriptor: arrays({ xs: rows, ys: rows, xShape: [1] }),
    batchSize: 2,
    shuffle: false,
  }
  const ring = new BatchRing((await feeder.ask.open(0, 2, request)).ring)
  await t.rejects(feeder.ask.open(0, 1, request), { code: 'ERR_STALE_INCARNATION' })
  ring.jump({ epoch: 0, ordinal: 0 })
  while (ring.credit === ring.shape.slots) await setImmediate()
  t.match(ring.take(), { epoch: 0, ordinal: 0, rows: 2 }, `${isolation}: batches come in shared memory`)
}

t.test('bad options are refused before anything runs', async t => {
  await using troupe = await Troupe.start()
  await t.rejects(runJob(troupe, {} as never, { module: ODD }), { code: 'ERR_JOB_MODULE' })
  await t.rejects(runJob(troupe, odd, { module: ODD, kills: ['worker-1@5'] }), {
    code: 'ERR_INVALID_OPTION',
    message: /the job has no worker-1; it has worker-0/,
  })
  for (const [option, value] of [
    ['workers', 0],
    ['parameterServers', 1.5],
    ['seed', -1],
    ['spareThreads', -1],
  ] as const) {
    await t.rejects(runJob(troupe, odd, { module: ODD, [option]: value }), {
      code: 'ERR_INVALID_OPTION',
      message: new RegExp(`bad job option '${option}': got ${value}`),
    })
  }
  t.equal(troupe.inspect().children.length, 0)
})
