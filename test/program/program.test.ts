import * as tf from '@tensorflow/tfjs'
import t from 'tap'
import { LayerSeeds } from '../../src/program/layer-seeds.js'
import { ThreadCompute } from '../../src/program/thread-compute.js'
import type { ProgramEnd } from '../../src/program/compute.js'
import { EMPTY_JOURNAL } from '../../src/training/index.js'
import { drive, type DriverOptions, type DriverResult } from '../helpers/training-driver.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const odd = new URL('../fixtures/jobs/odd.ts', import.meta.url).href

async function run(mode: string, options: Partial<DriverOptions> = {}): Promise<DriverResult> {
  return drive({ module: odd, workers: 1, shards: 1, args: { mode }, backend: 'js', ...options })
}

/** A program by itself: nobody answers what it asks. */
async function alone(mode: string, options: { module?: string; limitMb?: number } = {}): Promise<ProgramEnd> {
  const limits = options.limitMb === undefined ? undefined : { maxOldGenerationSizeMb: options.limitMb }
  return new Promise(resolve => {
    new ThreadCompute(limits).start(
      {
        job: 'test',
        module: options.module ?? odd,
        args: { mode },
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
      },
      { request: async () => ({ found: false }), notice: () => undefined, ended: resolve },
    )
  })
}

t.test('a program that throws, exits or outgrows its thread ends with a typed error', async t => {
  const [thrown, exited, grown, strange] = await Promise.all([
    alone('throw'),
    alone('exit'),
    alone('grow', { limitMb: 64 }),
    alone('', { module: new URL('../helpers/training-driver.ts', import.meta.url).href }),
  ])
  t.match(thrown, {
    kind: 'failed',
    error: {
      code: 'ERR_PROGRAM_FAILED',
      message: /the program of test\/worker-0 failed/,
      cause: { name: 'RangeError', message: 'user code says no' },
    },
  })
  t.match(exited, { kind: 'failed', error: { code: 'ERR_THREAD_EXITED', message: /with code 3/ } })
  t.match(grown, { kind: 'failed', error: { code: 'ERR_THREAD_LIMIT' } })
  t.match(strange, {
    kind: 'failed',
    error: { code: 'ERR_PROGRAM_FAILED', cause: { code: 'ERR_JOB_MODULE' } },
  })
})

t.test('a plain minimize loop trains, and is taken up where its worker was killed', async t => {
  const [clean, killed] = await Promise.all([
    run('minimize'),
    run('minimize', { shards: 2, kills: ['worker-0@30', 'worker-0@31/after-push:ps-0'] }),
  ])
  const [{ slope, offset, losses, last }] = clean.results as [Record<string, number>]
  t.ok(Math.abs(slope! - 3) < 0.3 && Math.abs(offset! + 1) < 0.2, `${String(slope)} ${String(offset)}`)
  t.equal(losses, 60)
  t.equal(last, clean.history.at(-1)![1])
  t.equal(killed.hash, clean.hash)
  t.strictSame(killed.results, clean.results)
  t.equal(killed.fired.length, 2)
})

t.test('no tensor stays behind over 1,000 steps', async t => {
  const { results } = await run('memory')
  const [{ counts }] = results as [{ counts: number[] }]
  t.equal(counts.length, 1005)
  t.strictSame(new Set(counts.slice(2)).size, 1, `in the end ${String(counts.at(-1))}`)
})

t.test('what exactness cannot bear is refused by name', async t => {
  const failure = async (mode: string, options: Partial<DriverOptions> = {}): Promise<unknown> =>
    run(mode, options).then(
      () => undefined,
      (error: unknown) => (error as Error).cause,
    )
  const [diverged, ahead, loops, alone, dealt, order, notes, unheard, frozen, counts] = await Promise.all([
    failure('diverge', { workers: 2 }),
    failure('lookahead'),
    failure('two-loops'),
    failure('step-in-once'),
    failure('dealt-evaluation'),
    failure('dataset-order', { workers: 2 }),
    failure('other-once', { workers: 2 }),
    failure('other-replay', { kills: ['worker-0@12'] }),
    failure('frozen', { workers: 2 }),
    failure('counter', { checkDeterminism: true }),
  ])
  t.match(diverged, {
    code: 'ERR_RANKS_DIVERGED',
    message: /The job has \[.*\[1x4\].*rank 1 has \[.*\[1x5\]/,
  })
  t.match(ahead, {
    code: 'ERR_REPLAY_LOOKAHEAD',
    message: /^2 batches were drawn for step 1/,
  })
  t.equal(loops, undefined, 'one model after the other may be trained')
  t.match(alone, { code: 'ERR_TRAINING_LOOP', message: /draws a batch that is dealt to this worker within/ })
  t.match(dealt, { code: 'ERR_TRAINING_LOOP', message: /after step 0 the program draws a batch/ })
  t.match(order, {
    code: 'ERR_RANKS_DIVERGED',
    message:
      /^dataset 1 of rank \d is arrays of 64 numbers as \[1\] .* in shuffled batches of \d; of rank \d it is /,
  })
  t.match(notes, {
    code: 'ERR_RANKS_DIVERGED',
    message:
      /^a worker waits for 'once another note' \(call 1 after step 4\).* rank 0 went on to step 5 without it/,
  })
  t.match(unheard, {
    code: 'ERR_REPLAY_DIVERGED',
    message: /^after step 8 the program asks for 'once unheard of'.*the journal does not have it/,
  })
  t.match(frozen, {
    code: 'ERR_RANKS_DIVERGED',
    message:
      /^frozen weights of rank 1 differ from the chief's: one of dense_Dense1\/kernel, dense_Dense1\/bias/,
  })
  t.match(counts, {
    code: 'ERR_NOT_DETERMINISTIC',
    message:
      /^step 1, computed twice with the same randomness, gives the loss and metrics as .* and then as /,
  })
})

t.test(
  'a program that depends on nothing but its seed passes the check, and is not changed by it',
  async t => {
    const module = new URL('../fixtures/jobs/tiny.ts', import.meta.url).href
    const options = { module, args: { epochs: 1 } }
    const [plain, checked] = await Promise.all([
      run('', options),
      run('', { ...options, checkDeterminism: true }),
    ])
    t.equal(checked.hash, plain.hash)
    t.strictSame(checked.history, plain.history)
  },
)

t.test('layers that count their seeds up have one that depends on the step', t => {
  // A model in a model; tfjs itself does not get such a layer's output shape right.
  const layer = tf.layers.randomWidth({ inputShape: [4, 4, 1], factor: 0.5, seed: 7 })
  const model = { layers: [{ layers: [layer] }] } as unknown as tf.LayersModel
  const { randomGenerator } = layer as unknown as { randomGenerator: { seed: number } }
  const seeds = new LayerSeeds(model)
  seeds.reseed(3)
  const third = randomGenerator.seed
  randomGenerator.seed += 5
  seeds.reseed(4)
  t.not(randomGenerator.seed, third)
  seeds.reseed(3)
  t.equal(randomGenerator.seed, third, 'however often it was drawn')
  t.end()
})

t.test('partition deals rows like cards, and says what is left out', async t => {
  const { results, notices } = await run('partition', { workers: 2 })
  t.strictSame(results, [
    {
      x: [
        [1, 1],
        [3, 3],
      ],
      y: [1, 3],
    },
    {
      x: [
        [2, 2],
        [4, 4],
      ],
      y: [2, 4],
    },
  ])
  t.match(notices.find(({ notice }) => notice.tell === 'log')?.notice, {
    message: 'partition leaves out the last 1 of 5 rows',
  })
})
