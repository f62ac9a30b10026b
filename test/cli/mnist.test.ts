import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { needTensorFlow } from '../helpers/engines.js'

// Real training in processes of its own, as `npm start` does it, on a machine of whatever speed.
t.setTimeout(600_000)

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Run {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** Exit code, once all output is there. */
  readonly ended: Promise<number | null>
}

function troupe(...argv: string[]): Run {
  return start(argv, {})
}

function start(argv: string[], env: Record<string, string>): Run {
  const child = spawn(
    process.execPath,
    ['--conditions=troupe-source', '--import', 'tsx', 'src/cli/main.ts', ...argv],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
  )
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return { child, stdout: () => stdout, stderr: () => stderr, ended }
}

interface Line {
  readonly event: string
  readonly [field: string]: unknown
}

async function train(...argv: string[]): Promise<{ events: Line[]; done: Line }> {
  return trainOn('wasm', ...argv)
}

async function trainOn(backend: string, ...argv: string[]): Promise<{ events: Line[]; done: Line }> {
  const run = troupe('run', 'examples/06-mnist.ts', '--json', '--backend', backend, ...argv)
  const code = await run.ended
  if (code !== 0) throw new Error(`exit code ${String(code)}: ${run.stderr()}`)
  const events = run
    .stdout()
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Line)
  return { events, done: events.at(-1)! }
}

t.test(
  'MNIST: the weights are the same whether nobody is killed, a worker, or one between its pushes',
  async t => {
    const killed = await train('--epochs', '1')
    const calm = await train('--epochs', '1', '--no-kill')
    const between = await train('--epochs', '1', '--kill', 'worker-1@150/after-push:ps-0')
    for (const { done, events } of [killed, between]) {
      t.equal(done['weightsSha256'], calm.done['weightsSha256'])
      t.equal(done['accuracy'], calm.done['accuracy'])
      t.same([done['restarts'], done['exact'], done['steps']], [1, true, 469])
      t.match(
        events.find(line => line.event === 'restored'),
        { actor: 'worker-1', step: 150, replayedSteps: 149 },
      )
    }
    t.match(calm.done['weightsSha256'], /^[0-9a-f]{64}$/)
    t.equal(calm.done['restarts'], 0)
    const losses = ({ events }: { events: Line[] }): unknown[] =>
      events.filter(line => line.event === 'step').map(line => [line['step'], line['loss']])
    t.same(losses(killed), losses(calm), 'so is the loss of every step')
  },
)

t.test('MNIST: a death of every role changes no bit', async t => {
  const calm = await train('--epochs', '1', '--no-kill')
  const plan = ['worker-1@150', 'ps-0@200', 'feeder@250', 'supervisor@300', 'ps-1@320/during-checkpoint']
  const { done, events } = await train(
    ...['--epochs', '1', '--checkpoint-every', '50'],
    ...plan.flatMap(kill => ['--kill', kill]),
  )
  t.equal(done['weightsSha256'], calm.done['weightsSha256'])
  t.equal(done['accuracy'], calm.done['accuracy'])
  t.same([done['restarts'], done['exact'], done['steps']], [plan.length, true, 469])
  const struck = events.flatMap(line => (line.event === 'failure' ? [line['fault']] : []))
  t.same(new Set(struck), new Set(plan))
  const steps = events.flatMap(line => (line.event === 'step' ? [line['step']] : []))
  t.same(
    steps,
    Array.from({ length: 469 }, (_, i) => i + 1),
    'each step is told once',
  )
})

const { skip } = await needTensorFlow()

t.test(
  'MNIST natively: one kernel thread for each of two workers, and no death changes a bit',
  { skip },
  async t => {
    const calm = await trainOn('native', '--epochs', '1', '--no-kill')
    const killed = await trainOn(
      'native',
      '--epochs',
      '1',
      '--kill',
      'worker-0@100/after-push:ps-0',
      '--kill',
      'ps-1@200',
    )
    t.equal(killed.done['weightsSha256'], calm.done['weightsSha256'])
    t.equal(killed.done['accuracy'], calm.done['accuracy'])
    t.same([killed.done['restarts'], killed.done['exact'], killed.done['backend']], [2, true, 'native'])
    const started = calm.events.find(({ event }) => event === 'started')!
    const threads = Math.max(1, Math.floor(availableParallelism() / 2))
    t.match(started, {
      backend: 'native',
      compute: { threads: `intra ${threads}, inter ${threads}`, isa: /onednn on$/ },
      versions: { backend: 'libtensorflow 2.21.0' },
    })
  },
)

t.test('MNIST: five epochs end with at least 97 %', async t => {
  const { events, done } = await train()
  t.ok((done['accuracy'] as number) >= 0.97, `accuracy ${String(done['accuracy'])}`)
  t.same(Object.keys(done), [
    'event',
    'accuracy',
    'steps',
    'seconds',
    'rowsPerSecond',
    'restarts',
    'exact',
    'weightsSha256',
    'backend',
  ])
  t.same([done['steps'], done['restarts'], done['exact']], [2345, 1, true])
  t.equal(events.filter(line => line.event === 'epochEnd').length, 5)
})

/** Resolves once the run has printed this. */
async function printed(run: Run, text: string): Promise<void> {
  while (!run.stdout().includes(text)) {
    if (run.child.exitCode !== null) throw new Error(`ended before '${text}': ${run.stderr()}`)
    await once(run.child.stdout!, 'data')
  }
}

t.test('Ctrl-C stops a job in good order with exit code 130', async t => {
  const run = troupe('run', 'examples/06-mnist.ts', '--json', '--backend', 'wasm')
  await printed(run, '"event":"step"')
  run.child.kill('SIGINT')
  t.equal(await run.ended, 130)
  t.match(run.stdout(), /\{"event":"note","message":"stopping; once more to stop at once"\}\n/)
  t.equal(run.stderr(), '')
})

t.test('a backend that is not there is refused with the remedy and exit code 1', async t => {
  const run = start(['run', 'examples/06-mnist.ts', '--backend', 'native'], { TROUPE_CACHE: t.testdir({}) })
  t.equal(await run.ended, 1)
  t.match(
    run.stderr(),
    /ERR_BACKEND_UNAVAILABLE: backend native is not available: .*\nRemedy: choose another with --backend/,
  )
})

t.test('a kill of an actor that the job does not have is a bad argument', async t => {
  const run = troupe('run', 'examples/06-mnist.ts', '--kill', 'worker-7@10')
  t.equal(await run.ended, 2)
  t.match(run.stderr(), /kill worker-7@10: the job has no worker-7; it has worker-0 to worker-1/)

  const own = troupe('run', 'examples/06-mnist.ts', '--workers', '1')
  t.equal(await own.ended, 2)
  t.match(
    own.stderr(),
    /the job kills worker-1@150 by itself, which does not fit .*: add --no-kill or another --kill/,
  )
})
