import { EMPTY_JOURNAL } from '../../src/training/index.js'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Program, ProgramEnd } from '../../src/program/compute.js'
import type { ProgramSpec } from '../../src/program/protocol.js'
import { SpareThreads } from '../../src/program/spare-threads.js'
import { ThreadCompute } from '../../src/program/thread-compute.js'
import { until } from '../helpers/runtime.js'
import { drive, type DriverOptions, type DriverResult } from '../helpers/training-driver.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const TINY = new URL('../fixtures/jobs/tiny.ts', import.meta.url).href
const STUBBORN = new URL('../fixtures/jobs/stubborn.ts', import.meta.url).href

function specOf(module: string, args: Record<string, unknown>): ProgramSpec {
  return {
    job: 'test',
    module,
    args,
    rank: 0,
    workers: 1,
    seed: 1,
    generation: 1,
    incarnation: 1,
    backend: 'js',
    from: 0,
    journal: EMPTY_JOURNAL,
    knownParts: 0,
    staleness: 0,
    kills: [],
  }
}

/** A promise, and who settles it. */
function later<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>(settle => (resolve = settle))
  return { promise, resolve }
}

interface Life {
  readonly program: Program
  /** The program is at work. */
  readonly working: Promise<void>
  readonly ended: Promise<ProgramEnd>
  readonly exited: Promise<void>
  /** What it was told, in order. */
  readonly told: string[]
}

function begin(compute: ThreadCompute, spec: ProgramSpec): Life {
  const told: string[] = []
  const working = later<void>()
  const ended = later<ProgramEnd>()
  const exited = later<void>()
  const program = compute.start(spec, {
    request: async () => ({ found: false }),
    notice: ({ tell }) => {
      told.push(tell)
      if (tell === 'log') working.resolve()
    },
    ended: end => {
      told.push('ended')
      ended.resolve(end)
    },
    exited: () => {
      told.push('exited')
      exited.resolve()
    },
  })
  return { program, working: working.promise, ended: ended.promise, exited: exited.promise, told }
}

t.test('a killed program is over at once, and its host hears when the thread is gone', async t => {
  const compute = new ThreadCompute()
  t.teardown(() => compute.close())
  for (const mode of ['spin', 'wait']) {
    const life = begin(compute, specOf(STUBBORN, { mode }))
    await life.working
    life.program.kill('it is stubborn')
    t.strictSame(life.told, ['ready', 'log', 'ended'], `${mode}: over before the thread is`)
    t.match(await life.ended, { kind: 'failed', error: { code: 'ERR_PROGRAM_KILLED' } })
    await life.exited
    t.strictSame(life.told, ['ready', 'log', 'ended', 'exited'], `${mode}: told once of each`)
  }
  const quick = begin(compute, specOf(STUBBORN, { mode: 'quick' }))
  await quick.exited
  t.match(await quick.ended, { kind: 'returned', result: 'done' })
  t.strictSame(quick.told, ['ready', 'log', 'ended', 'exited'], 'so does one that returns')
})

t.test(
  'a successor starts and ends while the thread before it is still in a native call',
  { skip: process.platform === 'win32' ? 'enable with: a system that has named pipes' : false },
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-pipe-'))
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const compute = new ThreadCompute()
    const old = begin(compute, specOf(STUBBORN, { mode: 'native', pipe }))
    await until(() => existsSync(`${pipe}.entered`))
    old.program.kill('by test')
    const next = begin(compute, { ...specOf(STUBBORN, { mode: 'quick' }), incarnation: 2 })
    t.match(await next.ended, { kind: 'returned', result: 'done' })
    await next.exited
    t.strictSame(old.told, ['ready', 'log', 'ended'], 'the old thread is still there')
    writeFileSync(pipe, 'go on')
    await old.exited
    t.strictSame(old.told, ['ready', 'log', 'ended', 'exited'], 'and what it says afterwards is not heard')
    compute.close()
    rmSync(folder, { recursive: true })
  },
)

const KILLS = ['worker-1@10', 'worker-1@12/after-push:ps-0', 'worker-0@15']

interface Spared extends DriverResult {
  /** Spares that were ready when a program was about to be killed. */
  readonly ready: readonly number[]
}

/** The tiny job under kills; each waits until `spares` are ready for the victim. */
async function spared(
  t: Test,
  spares: (kills: number) => number,
  options: Partial<DriverOptions>,
): Promise<Spared> {
  const compute = new ThreadCompute()
  const ready: number[] = []
  const result = await drive({
    module: TINY,
    workers: 2,
    shards: 2,
    kills: KILLS,
    compute,
    beforeKill: async () => {
      const expected = spares(ready.length)
      await until(() => compute.preparedSpares >= expected)
      ready.push(compute.preparedSpares)
    },
    ...options,
  })
  t.equal(compute.preparedSpares, 0, 'none is left when the programs have returned')
  return { ...result, ready }
}

t.test('a successor in a spare thread computes what one in a new thread does, bit by bit', async t => {
  const without = await spared(t, () => 0, { spareThreads: 0 })
  const one = await spared(t, () => 1, { spareThreads: 1 })
  const byDefault = await spared(t, kills => (kills === 0 ? 0 : 1), {})
  t.strictSame(without.ready, [0, 0, 0])
  t.strictSame(one.ready, [1, 1, 1], 'kept from the start if so wished')
  t.strictSame(byDefault.ready, [0, 1, 1], 'else from the first failure on')
  for (const run of [one, byDefault]) {
    t.equal(run.hash, without.hash)
    t.strictSame(run.history, without.history)
    t.strictSame(run.slots, without.slots)
    t.strictSame(run.results, without.results, 'random numbers, epochs and what main returns too')
    t.strictSame(run.fired, without.fired)
  }
})

t.test('a spare that cannot be prepared, or is not wanted any more, harms nobody', async t => {
  const cramped = new SpareThreads({ maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 }, 1)
  const spec = specOf(STUBBORN, { mode: 'quick' })
  cramped.started(spec)
  cramped.live(spec)
  const taken = cramped.take(spec)
  t.ok(taken, 'one that is still under way can be taken')
  const exited = new Promise<number>(resolve => {
    taken!.hold(true)
    taken!.listen({ onMessage: () => undefined, onError: () => undefined, onExit: resolve })
  })
  t.type(await exited, 'number')
  cramped.live(spec)
  await until(() => cramped.take({ ...spec, job: 'other' }) === undefined)
  cramped.close()
  cramped.live(spec)
  t.equal(cramped.take(spec), undefined, 'none after the end')
})
