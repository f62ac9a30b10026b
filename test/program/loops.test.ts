import * as tf from '@tensorflow/tfjs'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { modelFiles } from '../../src/program/model-files.js'
import { drive, type DriverOptions, type DriverResult } from '../helpers/training-driver.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const loops = new URL('../fixtures/jobs/loops.ts', import.meta.url).href

async function run(mode: string, options: Partial<DriverOptions> = {}): Promise<DriverResult> {
  const { args = {}, ...rest } = options
  return drive({ module: loops, workers: 2, shards: 2, backend: 'js', args: { mode, ...args }, ...rest })
}

function equal(t: Test, got: DriverResult, clean: DriverResult, kills: readonly string[]): void {
  t.equal(got.hash, clean.hash, 'weights and statistics')
  t.strictSame(got.history, clean.history, 'loss history')
  t.strictSame(got.slots, clean.slots, 'optimizer slots')
  t.strictSame(got.results, clean.results, 'what user code saw')
  t.strictSame([...got.fired].sort(), [...kills].sort(), 'every kill hit its phase')
  t.notOk(
    got.refused.some(push => push.sameBits === false),
    'repeated pushes hold the same bits',
  )
}

/** Two runs at a time: each has two or three threads that load TensorFlow. */
async function cleanAndKilled(
  t: Test,
  mode: string,
  kills: readonly string[],
  options: Partial<DriverOptions> = {},
): Promise<DriverResult> {
  const [clean, killed] = await Promise.all([run(mode, options), run(mode, { ...options, kills })])
  equal(t, killed, clean, kills)
  return clean
}

interface Seen {
  readonly sizes: number[]
  readonly losses: number[]
  readonly epochs: Record<string, number>[]
  readonly drawn: number[]
  readonly history: Record<string, number[]>
}

/** Of the undisturbed run of `fit`; other tests compare with it. */
let fitted: DriverResult

t.test('fit: callbacks, validation, early stopping and saves, whoever dies in them', async t => {
  const directory = t.testdir()
  const kills = [
    'worker-0@3',
    'worker-1@6',
    'worker-0@6/during-validation',
    'worker-0@11/during-save',
    'worker-1@11/during-validation',
    'worker-1@14/after-push:ps-0',
  ]
  const [clean, killed] = await Promise.all([
    run('fit', { args: { directory: join(directory, 'clean') } }),
    run('fit', { args: { directory: join(directory, 'killed') }, kills }),
  ])
  fitted = clean
  equal(t, plain(killed), plain(clean), kills)

  const [chief, other] = clean.results as (Seen & { saves: unknown[]; evaluated: number })[]
  t.strictSame(chief!.epochs, other!.epochs, 'epoch ends are equal on all workers')
  t.strictSame(chief!.saves, other!.saves, 'and so is what a save gave')
  t.equal(chief!.evaluated, other!.evaluated, 'and an evaluation')
  t.not(chief!.drawn[0], other!.drawn[0], 'each has randomness of its own')
  t.strictSame(chief!.sizes.slice(0, 5), [16, 16, 16, 16, 14], 'sizes are of all workers')
  t.ok(chief!.epochs.length > 1 && chief!.epochs.length < 12, `stopped early, after ${chief!.epochs.length}`)
  t.ok(
    Math.abs(weightedMean(chief!, 0) - chief!.epochs[0]!['loss']!) < 1e-6,
    'epoch means weigh every row alike',
  )
  t.notMatch(Object.keys(clean.slots).join(), 'dense_Dense1', 'a frozen weight is not trained')

  // What was said after the last step that was pushed may be said again; nothing before it is.
  const spoken = (result: DriverResult, line: string): number =>
    result.notices.filter(({ notice }) => notice.tell === 'log' && notice.message === line).length
  t.equal(
    spoken(killed, 'epoch 0 of rank 1'),
    spoken(clean, 'epoch 0 of rank 1') + 1,
    'killed right after it',
  )
  t.equal(spoken(killed, 'epoch 2 of rank 1'), spoken(clean, 'epoch 2 of rank 1'), 'a replay is silent')

  const files = readdirSync(join(directory, 'killed')).sort()
  t.match(files, [/^model\.json$/, /^weights\.[0-9a-f]{16}\.bin$/, /^weights\.[0-9a-f]{16}\.bin$/])
  t.strictSame(
    saved(join(directory, 'killed')),
    saved(join(directory, 'clean')),
    'the model is the one of the undisturbed run',
  )
})

/** A save says when it was made. */
function plain(result: DriverResult): DriverResult {
  return { ...result, results: result.results.map(each => ({ ...(each as object), saves: null })) }
}

function weightedMean({ sizes, losses, epochs }: Seen, epoch: number): number {
  const steps = sizes.length / epochs.length
  const [own, weights] = [losses, sizes].map(list => list.slice(epoch * steps, (epoch + 1) * steps))
  const total = weights!.reduce((sum, rows) => sum + rows, 0)
  return own!.reduce((sum, loss, i) => sum + loss * weights![i]!, 0) / total
}

function saved(directory: string): [string, Buffer] {
  const json = readFileSync(join(directory, 'model.json'), 'utf8')
  const [name] = /weights\.[0-9a-f]{16}\.bin/.exec(json)!
  return [json, readFileSync(join(directory, name))]
}

t.test('fitDataset: a tf.data pipeline of the program, dealt among the workers', async t => {
  const kills = [
    'worker-0@1',
    'worker-1@8',
    'worker-0@8/during-validation',
    'worker-0@16',
    'worker-1@20/after-push:ps-0',
  ]
  const clean = await cleanAndKilled(t, 'dataset', kills)
  const [chief] = clean.results as Seen[]
  // 83 rows in batches of 6: 14 of them, the last of 5; dealt to two workers.
  t.strictSame(chief!.sizes.slice(0, 7), [12, 12, 12, 12, 12, 12, 11])
  t.equal(chief!.history['val_loss']!.length, 3)
})

t.test('trainOnBatch and minimize loops', async t => {
  await Promise.all([
    t.test('trainOnBatch', async t => {
      const kills = [
        'worker-0@2',
        'worker-0@6/during-validation',
        'worker-1@10/after-push:ps-0',
        'worker-0@12',
      ]
      const clean = await cleanAndKilled(t, 'batch', kills)
      const [chief, other] = clean.results as { losses: number[]; figures: number[] }[]
      t.strictSame(chief!.losses, other!.losses, 'losses are of all workers')
      t.equal(chief!.losses.length, 15)
    }),
    t.test('minimize, and gradients that the program clips', async t => {
      const kills = ['worker-1@3', 'worker-0@12/after-push:ps-0', 'worker-0@24']
      const clean = await cleanAndKilled(t, 'minimize', kills)
      const [chief] = clean.results as { losses: number[] }[]
      t.equal(clean.history.length, 24)
      t.ok(chief!.losses.at(-1)! < chief!.losses[0]!, 'the loss falls')
    }),
  ])
})

t.test('a journal that has forgotten its oldest epochs', async t => {
  // 5 steps an epoch: when the worker dies, the first two epochs are gone.
  const kills = ['worker-1@14']
  const got = await run('fit', { args: { directory: t.testdir() }, journalMaxSteps: 7, kills })
  t.strictSame(got.fired, kills)
  t.equal(got.hash, fitted.hash)
  const [expected, seen] = [fitted, got].map(({ results }) => results[1] as Seen)
  t.strictSame(seen!.history, expected!.history, 'epoch callbacks see what they saw')
  t.strictSame(seen!.epochs, expected!.epochs)
  t.strictSame(seen!.drawn, expected!.drawn)
  t.strictSame(seen!.losses, expected!.losses.slice(10), 'batch callbacks are called for what is remembered')
  t.strictSame(got.results[0], {
    ...(fitted.results[0] as object),
    saves: (got.results[0] as { saves: [] }).saves,
  })
  t.match(
    got.notices.filter(({ rank, notice }) => rank === 1 && notice.tell === 'log' && notice.level === 'warn'),
    [{ notice: { message: /^the journal has forgotten the first 10 steps: .* is lost$/ } }],
  )
})

t.test('controls: without what makes a replay exact, the difference is seen', async t => {
  const options = { workers: 1, shards: 1 }
  const kills = ['worker-0@6']
  const [clean, noStatistics, unseeded, unseededKilled] = await Promise.all([
    run('batch', options),
    run('batch', { ...options, kills, args: { undo: 'statistics' } }),
    run('batch', { ...options, args: { undo: 'seeds' } }),
    run('batch', { ...options, kills, args: { undo: 'seeds' } }),
  ])
  t.not(noStatistics.hash, clean.hash, 'statistics of a BatchNorm are not restored')
  t.not(unseededKilled.hash, unseeded.hash, 'dropout draws from a stream that is not seeded for each step')
})

t.test('two models with an optimizer each, one frozen within the other', async t => {
  const kills = ['worker-0@2', 'worker-1@9/after-push:ps-0', 'worker-0@16', 'worker-1@23']
  const clean = await cleanAndKilled(t, 'gan', kills)
  const [chief, other] = clean.results as { losses: [number, number][] }[]
  t.strictSame(chief!.losses, other!.losses)
  // 29 rows in batches of 4 for each of two workers: 4 steps an epoch, each of both models.
  t.equal(clean.history.length, 2 * 4 * 3)
  t.strictSame(
    clean.history.slice(0, 8).map(([rows]) => rows),
    [8, 16, 8, 16, 8, 16, 5, 10],
    'a step weighs by the rows it was computed on',
  )
})

t.test('a model is replaced at once or not at all', async t => {
  await tf.setBackend('cpu')
  const directory = t.testdir()
  const url = `file://${directory}/model`
  const model = tf.sequential({ layers: [tf.layers.dense({ inputShape: [2], units: 1 })] })
  await model.save(modelFiles(tf, url))
  const first = model.getWeights()[0]!.dataSync().slice()
  model.setWeights([tf.ones([2, 1]), tf.ones([1])])
  const dies = model.save(
    modelFiles(tf, url, () => {
      throw new Error('the machine died')
    }),
  )
  await t.rejects(dies, { code: 'ERR_MODEL_FILES', cause: { message: 'the machine died' } })
  const kept = await tf.loadLayersModel(modelFiles(tf, `${url}/model.json`))
  t.strictSame(kept.getWeights()[0]!.dataSync(), first, 'the old one is whole')
  await model.save(modelFiles(tf, url))
  const next = await tf.loadLayersModel(modelFiles(tf, url))
  t.strictSame(next.getWeights()[0]!.dataSync(), Float32Array.of(1, 1))
  t.notMatch(readdirSync(`${directory}/model`).join(), '.tmp', 'drafts are cleared away')
  await t.rejects(tf.loadLayersModel(modelFiles(tf, `file://${directory}/none`)), { code: 'ERR_MODEL_FILES' })
  t.throws(() => modelFiles(tf, 'file://'), { code: 'ERR_MODEL_FILES' })
})
