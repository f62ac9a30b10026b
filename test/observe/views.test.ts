import t from 'tap'
import {
  JsonView,
  LiveView,
  PlainView,
  reportLines,
  RunProgress,
  straggler,
  textLogger,
  type JobView,
  type Output,
} from '../../src/observe/index.js'
import { clockTime, count, decimal, duration, percent } from '../../src/observe/figures.js'
import type { JobDone, JobEvent, JobStarted, JobStep } from '../../src/program/events.js'
import { VirtualClock } from '../../src/simulation/virtual-clock.js'

/** Keeps what was written; for a terminal, plays the control sequences that the live view uses. */
class Screen implements Output {
  raw = ''
  isTerminal = true
  columns = 100

  write(text: string): void {
    this.raw += text
  }

  /** The lines that a terminal would show. */
  get lines(): string[] {
    const lines = ['']
    let row = 0
    // oxlint-disable-next-line no-control-regex
    for (const [token, up] of this.raw.matchAll(/\u001b\[(\d+)A|\u001b\[0J|\r|\n|[^\u001b\r\n]+/g)) {
      if (up !== undefined) row -= Number(up)
      else if (token === '\u001b[0J') lines.length = row + 1
      else if (token === '\n') lines[++row] ??= ''
      else if (token === '\r') continue
      else lines[row] = token
      if (token === '\u001b[0J') lines[row] = ''
    }
    return lines.slice(0, -1)
  }
}

const STARTED: JobStarted = {
  event: 'started',
  job: 'mnist',
  backend: 'wasm',
  backendWhy: 'tfjs-node is not installed',
  compute: { threads: '1', isa: 'wasm-simd128/x64' },
  versions: { tfjs: '4.22.0' },
  workers: 2,
  parameterServers: 2,
  staleness: 0,
  seed: 7,
  totalSteps: 200,
  rowsPerEpoch: 12800,
  resumed: null,
}

const step = (n: number, more: Partial<JobStep> = {}): JobStep => ({
  event: 'step',
  step: n,
  worker: null,
  epoch: Math.floor((n - 1) / 100),
  loss: 2 / n,
  metrics: { acc: 1 - 1 / n },
  rows: 128,
  totalSteps: 200,
  ...more,
})

const FAILURE: JobEvent = {
  event: 'failure',
  actor: 'worker-1',
  reason: 'killed',
  step: 150,
  fault: 'worker-1@150',
}
const RESTORED: JobEvent = {
  event: 'restored',
  actor: 'worker-1',
  reason: 'killed',
  step: 150,
  replayedSteps: 149,
  recomputedSteps: 0,
  seconds: 1.234,
  respawnSeconds: 0.8,
  replaySeconds: 0.2,
}

const DONE: JobDone = {
  event: 'done',
  accuracy: 0.97531,
  steps: 200,
  workerSteps: { 'worker-0': 200, 'worker-1': 200 },
  seconds: 20.00049,
  rowsPerSecond: 1280.4,
  restarts: 1,
  exact: true,
  exactNote: null,
  weightsSha256: 'ab'.repeat(32),
  slotsSha256: 'cd'.repeat(32),
  backend: 'wasm',
  checkpoint: null,
  phases: {
    'worker-0': { data: 100, compute: 14000, push: 300, barrier: 5000, pull: 600 },
    'worker-1': { data: 100, compute: 18000, push: 300, barrier: 1000, pull: 600 },
  },
  result: { accuracy: 0.97531 },
}

/** Shows 200 steps, 100 ms apart, with a failure of two seconds in between. */
async function play(view: JobView, clock: VirtualClock): Promise<void> {
  view.show(STARTED)
  for (let n = 1; n <= 200; n++) {
    if (n === 150) {
      view.show(FAILURE)
      await clock.advance(2000)
      view.show(RESTORED)
    }
    await clock.advance(100)
    view.show(step(n))
    if (n % 100 === 0)
      view.show({ event: 'epochEnd', epoch: n / 100 - 1, step: n, logs: { loss: 2 / n, acc: 0.9 } })
  }
  view.show(DONE)
}

t.test('plain: what happens is told at once, the status every two seconds, then the report', async t => {
  const clock = new VirtualClock()
  const out = new Screen()
  await play(new PlainView(out, clock), clock)
  t.notOk(out.raw.includes('\u001b') || out.raw.includes('\r'), 'no control sequences')
  const lines = out.raw.trimEnd().split('\n')
  t.equal(
    lines[0],
    'mnist: 2 workers, 2 parameter servers, 12,800 rows an epoch, 200 steps, seed 7, backend wasm (tfjs 4.22.0)',
  )
  t.equal(lines[1], '  wasm: threads 1; wasm-simd128/x64; since tfjs-node is not installed')
  const status = lines.filter(line => line.includes('rows/s  loss'))
  t.equal(status.length, 10, 'one every two seconds in 22, on the next step')
  t.equal(
    status[2],
    '  epoch 1  step  60/200  0:14 left  30 %  1,280 rows/s  loss 0.0333  accuracy 0.9833  0 restarts',
  )
  t.ok(lines.includes('! worker-1 went down at step 150: killed, as planned: worker-1@150'))
  t.ok(
    lines.includes('+ worker-1: killed; restored at step 150, 149 steps replayed from the journal; 1.23 s'),
  )
  t.ok(lines.includes('  epoch 1 ended at step 100: loss 0.0200  accuracy 0.9000'))
  t.same(lines.slice(-10), [
    '',
    'done in 20.0 s: 200 steps, 1,280 rows/s, 1 restart, backend wasm',
    'test accuracy  97.53 %',
    'where step time went',
    '                data compute    push barrier    pull   total',
    '  worker-0     0.5 %  70.0 %   1.5 %  25.0 %   3.0 %  20.0 s',
    '  worker-1     0.5 %  90.0 %   1.5 %   5.0 %   3.0 %  20.0 s',
    '  straggler: worker-1; the others waited 4.00 s for it',
    `weights SHA-256  ${'ab'.repeat(32)}`,
    'exact  yes: bit by bit the weights of a run in which nothing fails',
  ])
})

t.test('json: one object a line, the last one short and always with the same fields', async t => {
  const clock = new VirtualClock()
  const out = new Screen()
  await play(new JsonView(out), clock)
  const lines = out.raw.trimEnd().split('\n')
  const objects = lines.map(line => JSON.parse(line) as { event: string })
  t.same(objects[0], STARTED)
  t.equal(objects.filter(o => o.event === 'step').length, 200, 'every step')
  t.same(objects.at(-2), {
    event: 'report',
    phases: DONE.phases,
    workerSteps: DONE.workerSteps,
    exactNote: null,
    checkpoint: null,
    result: DONE.result,
  })
  t.equal(
    lines.at(-1),
    `{"event":"done","accuracy":0.97531,"steps":200,"seconds":20,"rowsPerSecond":1280,"restarts":1,"exact":true,"weightsSha256":"${'ab'.repeat(32)}","backend":"wasm"}`,
  )
  new JsonView(out).note('stopping')
  t.match(out.raw, /\n\{"event":"note","message":"stopping"\}\n$/)
})

t.test('live: two lines redrawn in place, ten times a second at most; what happened stays above', async t => {
  const clock = new VirtualClock()
  const out = new Screen()
  const view = new LiveView(out, clock)
  view.show(STARTED)
  for (let n = 1; n <= 50; n++) {
    await clock.advance(1)
    view.show(step(n))
  }
  t.equal(out.lines.length, 2, 'nothing drawn within the first 100 ms')
  await clock.advance(100)
  for (let n = 51; n <= 100; n++) {
    await clock.advance(20)
    view.show(step(n))
  }
  t.equal(out.raw.match(/█/g)!.length > 0, true)
  const draws = out.raw.split('rows/s').length - 1
  t.ok(draws <= 12, `${draws} redraws in 1.1 s`)
  await clock.advance(100)
  t.match(out.lines, [
    /^mnist: 2 workers/,
    /^  wasm: threads 1; .* since/,
    /^█{12}░{12}  50 %  epoch 1  step 100\/200  0:01 left$/,
    /^[\d,]+ rows\/s  loss 0\.0200  accuracy 0\.9900  0 restarts$/,
  ])
  view.show(FAILURE)
  t.match(out.lines, [/^mnist/, /wasm/, /^! worker-1 went down/, /^█/, /waiting for worker-1$/])
  await clock.advance(10_000)
  t.match(out.lines[4], /^0 rows\/s/, 'a stall shows, though no event comes')
  view.show(RESTORED)
  view.note('a word')
  t.match(out.lines, [
    /^mnist/,
    /wasm/,
    /^!/,
    /^\+ worker-1: killed; restored/,
    /^a word$/,
    /^█/,
    /1 restart$/,
  ])
  view.show(step(200))
  await clock.advance(100)
  t.match(out.lines.slice(-2), [/100 % {2}epoch 2 {2}step 200\/200 {2}all steps made$/, /^loss 0.0100/])
  view.show(DONE)
  t.match(out.lines, [/^mnist/, /wasm/, /^!/, /^\+/, /^a word$/, /^$/, /^done in 20.0 s/])
  t.notMatch(out.lines.join('\n'), /█/, 'the status is gone')
  t.equal(clock.pending, 0, 'no timer is left')
  view.close()
})

t.test(
  'live: lines are cut to the width of the terminal, and a job of unknown length has no bar',
  async t => {
    const clock = new VirtualClock()
    const out = new Screen()
    out.columns = 30
    const view = new LiveView(out, clock)
    view.show(step(1, { totalSteps: null }))
    await clock.advance(1000)
    view.show(step(2, { totalSteps: null }))
    await clock.advance(100)
    t.match(out.lines, [/^epoch 1  step 2$/, /^\d+ rows\/s  loss 1.0000/])
    t.ok(out.lines.every(line => line.length < 30))
    view.close()
    t.same(out.lines, [])
    view.note('after')
    t.same(out.lines, ['after'])
  },
)

t.test('progress: rate over the last five seconds, time left by the mean pace', async t => {
  const progress = new RunProgress()
  t.same(
    [progress.rowsPerSecond(0), progress.secondsLeft(0), progress.fraction],
    [undefined, undefined, undefined],
  )
  progress.apply(STARTED, 0)
  progress.apply(step(1), 1000)
  t.equal(progress.secondsLeft(1000), undefined, 'one step tells no pace')
  for (let n = 2; n <= 101; n++) progress.apply(step(n), 1000 + (n - 1) * 10)
  t.equal(progress.rowsPerSecond(2000), 12800)
  t.equal(progress.secondsLeft(2000), 0.99)
  t.equal(progress.fraction, 101 / 200)
  for (let n = 102; n <= 121; n++) progress.apply(step(n), 2000 + (n - 101) * 1000)
  t.equal(Math.round(progress.rowsPerSecond(22_000)!), 128, 'the fast steps are forgotten')
  t.equal(progress.rowsPerSecond(40_000), 0)
  progress.apply(step(200), 41_000)
  t.equal(progress.secondsLeft(41_000), 0)
})

t.test(
  'report: says so when workers are even, when weights are not exact, and when there is no accuracy',
  async t => {
    const even = { 'worker-0': DONE.phases['worker-0']!, 'worker-1': DONE.phases['worker-0']! }
    t.equal(straggler(even), undefined)
    t.equal(straggler({ 'worker-0': DONE.phases['worker-0']! }), undefined)
    t.same(straggler(DONE.phases), { worker: 'worker-1', seconds: 4 })
    const zero = { data: 0, compute: 0, push: 0, barrier: 0, pull: 0 }
    const lines = reportLines({
      ...DONE,
      accuracy: null,
      exact: false,
      exactNote: 'since step 90: moved',
      phases: { ...even, 'worker-2': zero },
    }).join('\n')
    t.notMatch(lines, /accuracy/)
    t.match(lines, /exact  no: since step 90: moved/)
    t.match(lines, /worker-2 +- +- +- +- +- +0\.00 s/)
    t.match(reportLines({ ...DONE, phases: even }).join('\n'), /no straggler: the workers are even/)
    t.match(
      reportLines({ ...DONE, phases: {}, restarts: 0 }).join('\n'),
      /0 restarts.*exact {2}yes: another run/s,
    )
  },
)

t.test('figures read the same on every machine', async t => {
  t.same([count(0), count(999), count(1000), count(1234567.4)], ['0', '999', '1,000', '1,234,567'])
  t.same(
    [decimal(0), decimal(0.12345), decimal(1.2e-7), decimal(12345.6), decimal(NaN)],
    ['0.0000', '0.1235', '1.2e-7', '12,346', 'NaN'],
  )
  t.same([percent(0.97531), percent(1, 0)], ['97.53 %', '100 %'])
  t.same([clockTime(7.4), clockTime(61), clockTime(3723), clockTime(-1)], ['0:07', '1:01', '1:02:03', '0:00'])
  t.same([duration(0.123), duration(38.24), duration(150)], ['0.12 s', '38.2 s', '2:30'])
})

t.test('logger: plain or JSON lines, by level, and silent while muted', async t => {
  const clock = new VirtualClock()
  const out = new Screen()
  let muted = false
  const plain = textLogger({ output: out, clock, muted: () => muted })
  plain.debug('too fine')
  plain.info('started', { actor: '/mnist/ps-0', text: 'two words', error: new Error('boom') })
  await clock.advance(1500)
  plain.warn('slow')
  muted = true
  plain.error('not heard')
  t.equal(
    out.raw,
    '2026-01-01T00:00:00.000Z info  started actor=/mnist/ps-0 text="two words" error="boom"\n' +
      '2026-01-01T00:00:01.500Z warn  slow\n',
  )
  const json = new Screen()
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const logger = textLogger({ output: json, clock, format: 'json', level: 'debug' })
  logger.debug('d', { n: 1n, message: 'hidden', error: new TypeError('boom') })
  logger.error('e', cycle)
  const [first, second] = json.raw
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  t.match(first, {
    time: '2026-01-01T00:00:01.500Z',
    level: 'debug',
    message: 'd',
    n: '1',
    error: { name: 'TypeError' },
  })
  t.match(second, { message: 'e', fields: ['self'] })
})
