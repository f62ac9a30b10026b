import t from 'tap'
import type { CliIo } from '../../src/cli/cli-io.js'
import { runCli } from '../../src/cli/cli.js'
import { closest } from '../../src/cli/closest.js'
import { failureText } from '../../src/cli/failure-text.js'
import { loadJobModule } from '../../src/cli/job-module.js'
import { runCommand, type RunningJob, type StartJob } from '../../src/cli/run-command.js'
import { readRunLine } from '../../src/cli/run-options.js'
import { TroupeError } from '../../src/errors.js'
import type { JobDone, JobEvent } from '../../src/program/events.js'
import { VirtualClock } from '../../src/simulation/virtual-clock.js'

class FakeIo implements CliIo {
  stdout = ''
  stderr = ''
  exited: number | undefined
  interrupt: (() => void) | undefined
  readonly clock = new VirtualClock()
  readonly cwd = '/work'
  readonly out
  readonly err = { isTerminal: false, columns: 80, write: (text: string) => void (this.stderr += text) }

  constructor(isTerminal = false) {
    this.out = { isTerminal, columns: 80, write: (text: string) => void (this.stdout += text) }
  }

  onInterrupt(listener: () => void): () => void {
    this.interrupt = listener
    return () => (this.interrupt = undefined)
  }

  exitNow(code: number): void {
    this.exited = code
  }
}

const DONE: JobDone = {
  event: 'done',
  accuracy: 0.98,
  steps: 3,
  workerSteps: {},
  seconds: 1,
  rowsPerSecond: 384,
  restarts: 0,
  exact: true,
  exactNote: null,
  weightsSha256: '00',
  slotsSha256: '11',
  backend: 'wasm',
  checkpoint: null,
  phases: {},
  result: null,
}

const STEP: JobEvent = {
  event: 'step',
  step: 1,
  worker: null,
  epoch: 0,
  loss: 1,
  metrics: {},
  rows: 64,
  totalSteps: 3,
}

/** A recorded job: yields `events`, then ends, throws, or waits until it is stopped. */
function recorded(
  events: readonly JobEvent[],
  end: 'ends' | 'waits' | Error = 'ends',
): StartJob & { log: string[] } {
  const log: string[] = []
  const start: StartJob = (path, cwd, overrides) => {
    log.push(`start ${cwd} ${path} ${JSON.stringify(overrides)}`)
    let stopped!: () => void
    const stop = new Promise<void>(resolve => (stopped = resolve))
    const job: RunningJob = {
      events: (async function* () {
        yield* events
        if (end instanceof Error) throw end
        if (end === 'waits') await stop
      })(),
      stop: async () => {
        log.push('stop')
        stopped()
      },
      close: async () => void log.push('close'),
    }
    return Promise.resolve(job)
  }
  return Object.assign(start, { log })
}

const run = (io: FakeIo, argv: string[], start: StartJob = recorded([STEP, DONE])): Promise<number> =>
  runCli(argv, io, [runCommand(start)])

t.test('help and version go to stdout with exit code 0', async t => {
  for (const argv of [['--help'], ['-h'], ['help']]) {
    const io = new FakeIo()
    t.equal(await run(io, argv), 0)
    t.match(io.stdout, /^usage: troupe COMMAND \[options\]\n\n {2}run {2}train a job/)
  }
  const io = new FakeIo()
  t.equal(await run(io, ['run', 'job.js', '--help']), 0)
  t.match(io.stdout, /^usage: troupe run JOB \[options\]/)
  for (const option of [
    '--workers N ',
    '--kill ACTOR@STEP[/PHASE] ',
    '--no-kill ',
    '--backend auto|native|wasm|js ',
    '--json ',
  ]) {
    t.ok(io.stdout.includes(option), option)
  }
  t.match(io.stdout, /\(1 to 64\)/)
  const versionIo = new FakeIo()
  t.equal(await run(versionIo, ['--version']), 0)
  t.match(versionIo.stdout, /^\d+\.\d+\.\d+\n$/)
  const nothing = new FakeIo()
  t.equal(await run(nothing, []), 2, 'no command is not understood')
  const behind = recorded([DONE])
  t.equal(await run(new FakeIo(), ['run', 'job.js', '--', 'text=--help'], behind), 0, 'not ours behind --')
  t.match(behind.log[0], /"args":\{"text":"--help"\}/)
})

t.test('what is not understood names the value, the limit and the remedy, with exit code 2', async t => {
  const cases: [argv: string[], message: RegExp][] = [
    [
      ['runn'],
      /^troupe: ERR_USAGE: unknown command runn; did you mean run\?\nRemedy: see --help of the command\n$/,
    ],
    [['xyzzy'], /unknown command xyzzy; known: run/],
    [['run'], /run needs the module of a job: troupe run JOB/],
    [['run', 'a.js', 'b.js'], /takes one job; got also b.js/],
    [['run', 'j', '--wrokers', '3'], /unknown option --wrokers; did you mean --workers\?/],
    [['run', 'j', '--zzz'], /unknown option --zzz; known: --workers, --servers, /],
    [['run', 'j', '--workers'], /--workers needs a value: --workers N/],
    [['run', 'j', '--workers', '--json'], /--workers needs a value/],
    [['run', 'j', '--workers', '0'], /--workers must be a whole number from 1 to 64; got "0"/],
    [['run', 'j', '--workers=2.5'], /from 1 to 64; got "2.5"/],
    [['run', 'j', '--workers', 'two'], /from 1 to 64; got "two"/],
    [['run', 'j', '--workers', '2', '--workers', '3'], /--workers is given twice/],
    [['run', 'j', '--servers', '65'], /--servers must be a whole number from 1 to 64; got "65"/],
    [['run', 'j', '--seed', '-1'], /--seed must be a whole number from 0 to 4294967295; got "-1"/],
    [['run', 'j', '--epochs', '1e3'], /--epochs must be a whole number .*; got "1e3"/],
    [['run', 'j', '--backend', 'gpu'], /--backend must be one of auto, native, wasm, js; got "gpu"/],
    [['run', 'j', '--kill', 'worker-1'], /such as worker-1@150 or .*; got "worker-1"/],
    [['run', 'j', '--kill', 'worker-1@1', '--no-kill'], /--kill and --no-kill contradict each other/],
    [['run', 'j', '--json', '--plain'], /--json and --plain contradict each other/],
    [['run', 'j', '--json=yes'], /--json takes no value; got "yes"/],
    [['run', 'j', '--resume'], /--resume needs --checkpoints DIR/],
    [['run', 'j', '--checkpoints', ''], /--checkpoints must not be empty/],
    [['run', 'j', '--checkpoint-every', '0'], /--checkpoint-every must be a whole number from 1/],
    [['run', 'j', '--checkpoint-every', '5', '--checkpoint-interval', '5'], /contradict each other/],
    [['run', 'j', '--kill', 'ps-0@5/after-push:ps-1'], /kill ps-0@5\/after-push:ps-1: ps-0 pushes nothing/],
    [['run', 'j', '--kill', 'feeder@5/during-lunch'], /such as worker-1@150 or ps-0@200 or feeder@250/],
    [['run', 'j', '--arg', 'epochs'], /an argument of the job must be key=value; got "epochs"/],
    [['run', 'j', '--', '5=5'], /must be key=value; got "5=5"/],
  ]
  for (const [argv, message] of cases) {
    const io = new FakeIo()
    const start = recorded([DONE])
    t.equal(await run(io, argv, start), 2, argv.join(' '))
    t.match(io.stderr, message)
    t.match(io.stderr, /Remedy: /)
    t.equal(io.stdout, '')
    t.same(start.log, [], 'nothing was started')
  }
  t.equal(closest('--jsn', ['--json', '--seed']), '--json')
  t.equal(closest('--', ['--json']), undefined)
})

t.test('options override what the job says; arguments go to its main', async t => {
  t.same(readRunLine(['job.js']), { job: 'job.js', overrides: { args: {} }, view: 'auto' })
  t.same(
    readRunLine([
      ...[
        '--workers',
        '3',
        'job.ts',
        '--servers=4',
        '--seed',
        '0',
        '--backend',
        'js',
        '--epochs',
        '2',
        '--json',
      ],
      ...[
        '--kill',
        'worker-1@5',
        '--kill',
        'worker-0@9/after-push:ps-1',
        '--arg',
        'rate=1e-3',
        '--arg',
        'on=true',
      ],
      ...['--', 'name=a=b', 'zip="0123"', 'empty='],
    ]),
    {
      job: 'job.ts',
      overrides: {
        workers: 3,
        parameterServers: 4,
        seed: 0,
        backend: 'js',
        kills: [
          { text: 'worker-1@5', actor: 'worker-1', step: 5 },
          { text: 'worker-0@9/after-push:ps-1', actor: 'worker-0', step: 9, afterPushTo: 'ps-1' },
        ],
        args: { rate: 0.001, on: true, name: 'a=b', zip: '0123', empty: '', epochs: 2 },
      },
      view: 'json',
    },
  )
  t.same(readRunLine(['j', '--checkpoints', 'here', '--checkpoint-every', '9', '--resume']).overrides, {
    args: {},
    checkpoints: { directory: 'here', everySteps: 9 },
    resume: true,
  })
  t.same(readRunLine(['j', '--checkpoint-interval=500']).overrides, {
    args: {},
    checkpoints: { intervalMs: 500 },
  })
  t.same(readRunLine(['j', '--no-kill', '--plain']), {
    job: 'j',
    overrides: { args: {}, kills: [] },
    view: 'plain',
  })
})

t.test('a job that ends well: exit code 0, its runtime closed', async t => {
  const io = new FakeIo()
  const start = recorded([STEP, DONE])
  t.equal(await run(io, ['run', 'job.js', '--json'], start), 0)
  const lines = io.stdout.trimEnd().split('\n')
  t.match(JSON.parse(lines[0]!), { event: 'step' })
  t.match(JSON.parse(lines.at(-1)!), { event: 'done', accuracy: 0.98 })
  t.same(start.log, ['start /work job.js {"args":{}}', 'close'])
  t.equal(io.interrupt, undefined, 'no listener is left')

  const plain = new FakeIo()
  await run(plain, ['run', 'job.js'])
  t.match(plain.stdout, /\ntest accuracy {2}98.00 %\n/, 'plain where there is no terminal')
  const live = new FakeIo(true)
  await run(live, ['run', 'job.js'])
  t.match(live.stdout, /\ntest accuracy {2}98.00 %\n/)
  t.equal(live.clock.pending, 0)
})

t.test('a job that fails: the causal chain on stderr, exit code 1', async t => {
  const failure = new TroupeError('ERR_RESTART_INTENSITY', 'worker-1 failed 4 times', {
    cause: new TroupeError('ERR_ACTOR_FAILED', 'worker-1 failed', { cause: new RangeError('loss is NaN') }),
  })
  const io = new FakeIo()
  const start = recorded([STEP], failure)
  t.equal(await run(io, ['run', 'job.js', '--json'], start), 1)
  t.match(
    io.stderr,
    /^troupe: ERR_RESTART_INTENSITY: worker-1 failed 4 times\n {2}caused by ERR_ACTOR_FAILED: worker-1 failed\n {2}caused by RangeError: loss is NaN\nRemedy: see the cause; the supervisor decided what became of the actor\n$/,
  )
  t.match(JSON.parse(io.stdout.trimEnd().split('\n').at(-1)!), {
    event: 'failed',
    error: { code: 'ERR_RESTART_INTENSITY', cause: { code: 'ERR_ACTOR_FAILED' } },
    chain: [/^ERR_RESTART/, /^ERR_ACTOR/, 'RangeError: loss is NaN'],
  })
  t.same(start.log.at(-1), 'close')
  const invalid = new FakeIo()
  t.equal(
    await run(
      invalid,
      ['run', 'j'],
      recorded([], new TroupeError('ERR_INVALID_OPTION', 'thrown by user code')),
    ),
    1,
    'what a job throws is never taken for a bad argument',
  )
  const refused = new FakeIo()
  const refuse: StartJob = () =>
    Promise.reject(new TroupeError('ERR_INVALID_OPTION', 'kill worker-9@1: no such'))
  t.equal(await run(refused, ['run', 'j', '--kill', 'worker-9@1'], refuse), 2)
})

t.test(
  'Ctrl-C stops the job in good order with exit code 130; a second one ends the process at once',
  async t => {
    const io = new FakeIo(true)
    const start = recorded([STEP], 'waits')
    const code = run(io, ['run', 'job.js'], start)
    await new Promise(resolve => setImmediate(resolve))
    io.interrupt!()
    t.match(io.stdout, /stopping; once more to stop at once\n/)
    t.equal(io.exited, undefined)
    t.equal(await code, 130)
    t.match(io.stdout, /stopped\n$/)
    t.same(start.log.slice(1), ['stop', 'close'])

    const hung = new FakeIo()
    let stops = 0
    const never: StartJob = () =>
      Promise.resolve({
        // oxlint-disable-next-line require-yield -- it hangs
        events: (async function* () {
          await new Promise(() => undefined)
        })(),
        stop: async () => void stops++,
        close: async () => undefined,
      })
    void run(hung, ['run', 'job.js'], never)
    await new Promise(resolve => setImmediate(resolve))
    hung.interrupt!()
    hung.interrupt!()
    t.same([stops, hung.exited], [1, 130])

    const early = new FakeIo()
    const log: string[] = []
    let started!: (job: RunningJob) => void
    const slow: StartJob = () => new Promise(resolve => (started = resolve))
    const earlyCode = run(early, ['run', 'job.js'], slow)
    early.interrupt!()
    started({
      events: (async function* () {})(),
      stop: async () => void log.push('stop'),
      close: async () => void log.push('close'),
    })
    t.equal(await earlyCode, 130, 'also while it is being started')
    t.same(log, ['stop', 'close'])
  },
)

t.test('a job module: TypeScript or JavaScript, and a default export', async t => {
  const dir = t.testdir({
    'job.ts': 'enum Answer { Yes = 42 }\nexport default { answer: Answer.Yes as number }\n',
    'job.mjs': 'export default { answer: 43 }\n',
    'none.mjs': 'export const main = 1\n',
    'broken.mjs': 'throw new Error("it breaks")\n',
  })
  t.match(await loadJobModule('job.ts', dir), { url: /^file:.*job\.ts$/, exported: { answer: 42 } })
  t.match(await loadJobModule('job.mjs', dir), { exported: { answer: 43 } })
  await t.rejects(loadJobModule('none.mjs', dir), {
    code: 'ERR_JOB_MODULE',
    message:
      /^none.mjs has no default export; it exports main\. Remedy: end the module with: export default defineJob/,
  })
  await t.rejects(loadJobModule('broken.mjs', dir), {
    code: 'ERR_JOB_MODULE',
    cause: { message: 'it breaks' },
  })
  await t.rejects(loadJobModule('absent.mjs', dir), {
    code: 'ERR_JOB_MODULE',
    message: /^cannot load the job absent.mjs/,
  })
})

t.test('an error that quotes another keeps one remedy, the innermost', async t => {
  const inner = new TroupeError('ERR_BACKEND_CANNOT_TRAIN', 'layer edges needs a kernel')
  const middle = new TroupeError('ERR_ACTOR_FAILED', `worker-0 failed: ${inner.message}`, { cause: inner })
  t.equal(
    failureText(new TroupeError('ERR_ACTOR_FAILED', 'the job escalates that', { cause: middle })),
    [
      'troupe: ERR_ACTOR_FAILED: the job escalates that',
      '  caused by ERR_ACTOR_FAILED: worker-0 failed: layer edges needs a kernel',
      '  caused by ERR_BACKEND_CANNOT_TRAIN: layer edges needs a kernel',
      `Remedy: ${inner.remedy}`,
    ].join('\n'),
  )
  t.equal(failureText('thrown text'), 'troupe: NonError: "thrown text"')
})
