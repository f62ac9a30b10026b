// `troupe checkpoints`: what a person and a program are told, and an exit code that is true.
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CheckpointStore, LocalFiles, LocalPlaces } from '../../src/checkpoint/index.js'
import { checkpointsCommand } from '../../src/cli/checkpoints-command.js'
import { runCli } from '../../src/cli/cli.js'
import { VirtualClock } from '../../src/simulation/virtual-clock.js'
import { save } from '../helpers/checkpoint-sample.js'

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(cwd: string, ...argv: string[]): Promise<Ran> {
  let [out, err] = ['', '']
  const output = (
    write: (text: string) => void,
  ): { isTerminal: false; columns: number; write: typeof write } => ({
    isTerminal: false,
    columns: 80,
    write,
  })
  const io = {
    out: output(text => void (out += text)),
    err: output(text => void (err += text)),
    clock: new VirtualClock(),
    cwd,
    onInterrupt: () => () => undefined,
    exitNow: () => undefined,
  }
  const command = checkpointsCommand((place, base) => new LocalPlaces(base).open(place))
  return { code: await runCli(['checkpoints', ...argv], io, [command]), out, err }
}

/** Steps 10 and 20, a rollback, step 1200. */
async function placeOf(t: Test): Promise<string> {
  const folder = t.testdir({ job: {} })
  const store = new CheckpointStore(new LocalFiles(join(folder, 'job')))
  await save(store, 1, 10)
  await save(store, 1, 20)
  await store.closeGeneration(1)
  await save(store, 2, 1200)
  return folder
}

const NEWEST = 'job/g0002/step-000001200'

t.test('A list, newest first, with the one that a resumed job begins at; all sound: exit code 0', async t => {
  const { code, out, err } = await run(await placeOf(t), 'job')
  t.equal(code, 0)
  t.equal(err, '')
  t.same(out.replace(/\d\.\d kB/g, 'SIZE').split('\n'), [
    'step   epochs done  saved (UTC)          servers  size    folder                       state',
    '1,200  2            2026-09-21 14:13:20  2        SIZE  g0002/step-000001200         complete; a resumed job begins here',
    '20     2            2026-09-21 14:13:20  2        SIZE  g0001.closed/step-000000020  complete',
    '10     2            2026-09-21 14:13:20  2        SIZE  g0001.closed/step-000000010  complete',
    '',
  ])
})

t.test('A cut file shows in the list; a flipped bit with --verify; both in the exit code', async t => {
  const folder = await placeOf(t)
  const state = join(folder, NEWEST, 'state.msgpack')
  const content = await readFile(state)
  content[3]! ^= 1
  await writeFile(state, content)
  t.equal((await run(folder, 'job')).code, 0, 'lengths do not tell')
  const verified = await run(folder, 'job', '--verify')
  t.equal(verified.code, 1)
  t.match(
    verified.out,
    /^1,200 .* damaged: state\.msgpack has the SHA-256 \w{64}; the manifest says \w{64}\n20 .* verified; a resumed job/m,
  )
  await truncate(state, 5)
  const listed = await run(folder, 'job')
  t.equal(listed.code, 1)
  t.match(listed.out, /damaged: state\.msgpack has 5 bytes; the manifest says \d+/)
  const shown = await run(folder, 'job', '--show', '1200')
  t.equal(shown.code, 1)
  t.match(shown.out, /^step 1,200, in g0002\/step-000001200\n {2}damaged: state\.msgpack has 5 bytes/)
  t.equal((await run(folder, 'job', '--show', '20')).code, 0, 'this one is sound')
})

t.test('--show: files, digests, variables with what is kept of each', async t => {
  const { code, out } = await run(await placeOf(t), 'job', '--show', '1200', '--verify')
  t.equal(code, 0)
  t.match(
    out,
    /^step 1,200, in g0002\/step-000001200\n {2}job {8}sample, 2 epochs done, saved 2026-09-21 14:13:20 UTC\n/,
  )
  t.match(out, /\n {2}servers {4}2, \d\.\d kB\n {2}computed {3}backend js\n {2}versions {3}troupe 0\.1\.0\n/)
  t.match(out, /\n {2}state {6}verified: every byte was read\n/)
  t.match(out, /\n {4}state\.msgpack +\d+ bytes {2}SHA-256 [0-9a-f]{64}\n/)
  t.match(out, /\n {2}3 variables\n {4}layer-0\/kernel {2}\[7, 5\] {2}weights, adam-0\/m, adam-0\/v\n/)
})

t.test('--json: one object a line', async t => {
  const folder = await placeOf(t)
  await truncate(join(folder, NEWEST, 'manifest.json'), 50)
  const { code, out } = await run(folder, 'job', '--json')
  t.equal(code, 1)
  const lines = out.trimEnd().split('\n')
  t.match(
    lines.map(line => JSON.parse(line) as unknown),
    [
      { event: 'checkpoint', step: 1200, ok: false, reason: 'manifest-damaged', file: 'manifest.json' },
      { event: 'checkpoint', generation: 1, step: 20, closed: true, ok: true, checked: 'lengths', shards: 2 },
      { step: 10, savedAt: '2026-09-21T14:13:20.000Z', epoch: 2, job: 'sample' },
    ],
  )
  const shown = await run(folder, 'job', '--json', '--show', '10', '--verify')
  t.match(JSON.parse(shown.out), {
    step: 10,
    checked: 'full',
    files: Array,
    tensors: Array,
    versions: { troupe: '0.1.0' },
  })
})

t.test('No checkpoint, no directory, no such step, wrong arguments: said, with the exit code', async t => {
  const folder = await placeOf(t)
  const cases: [argv: string[], code: number, message: RegExp][] = [
    [['.'], 1, /holds no checkpoints\n$/],
    [
      ['nowhere'],
      1,
      /ERR_CHECKPOINT_MISSING: .*nowhere is not there, or is no directory\nRemedy: check the path/,
    ],
    [[NEWEST + '/manifest.json'], 1, /is not there, or is no directory/],
    [
      ['job', '--show', '15'],
      1,
      /ERR_CHECKPOINT_NONE: .* no checkpoint at step 15; it has steps 1200, 20, 10\n/,
    ],
    [['job', '--show', 'x'], 2, /--show must be a whole number from 0 to \d+; got "x"/],
    [['hdfs://name/job'], 1, /ERR_CHECKPOINT_PLACE: no checkpoints can be kept in "hdfs:\/\/name\/job"/],
    [[], 2, /checkpoints needs a directory: troupe checkpoints DIR/],
    [['a', 'b'], 2, /takes one directory; got also b/],
    [['job', '--vrify'], 2, /unknown option --vrify; did you mean --verify\?/],
  ]
  for (const [argv, code, message] of cases) {
    const ran = await run(folder, ...argv)
    t.equal(ran.code, code, argv.join(' '))
    t.match(ran.out + ran.err, message)
  }
  const help = await run(folder, '--help')
  t.equal(help.code, 0)
  t.match(help.out, /^usage: troupe checkpoints DIR \[options\]\n[^]* --show STEP {2}[^]*Exit codes: 0 every/)
})
