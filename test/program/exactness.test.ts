import t, { type Test } from 'tap'
import { drive, type DriverResult } from '../helpers/training-driver.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const tiny = new URL('../fixtures/jobs/tiny.ts', import.meta.url).href
/** 97 rows in steps of 16: 7 steps an epoch, the last of a single row. */
const STEPS = 21

const clean = await drive({ module: tiny, workers: 2, shards: 2 })

function equal(t: Test, got: DriverResult, what: string): void {
  t.equal(got.hash, clean.hash, `${what}: weights and statistics`)
  t.strictSame(got.history, clean.history, `${what}: loss history`)
  t.strictSame(got.slots, clean.slots, `${what}: optimizer slots`)
  t.strictSame(got.results, clean.results, `${what}: what user code saw`)
}

t.test('a job trains, and its user code sees what all ranks did', async t => {
  t.equal(clean.history.length, STEPS)
  t.strictSame(
    clean.history.slice(0, 7).map(([rows]) => rows),
    [16, 16, 16, 16, 16, 16, 1],
  )
  t.ok(clean.history[STEPS - 2]![1]! < clean.history[0]![1]!, 'the loss falls')
  const [chief, other] = clean.results as Record<string, unknown>[]
  t.strictSame(
    chief!['sizes'],
    clean.history.map(([rows]) => rows),
    'size is the number of rows over all ranks',
  )
  t.strictSame(chief!['means'], other!['means'], 'epoch means are equal on all ranks')
  t.strictSame(chief!['epochsKept'], { epochs: 3 })
  t.strictSame(other!['epochsKept'], { epochs: 3 })
})

t.test('it does not matter how many shards there are', async t => {
  equal(t, await drive({ module: tiny, workers: 2, shards: 3 }), 'three')
})

t.test('it does not matter whether, when and between which pushes workers die', async t => {
  const plans = [
    ['worker-1@1', 'worker-1@10/after-push:ps-0', 'worker-0@21/after-push:ps-1'],
    ['worker-0@3', 'worker-1@3/after-push:ps-0', 'worker-1@4', 'worker-0@15/after-push:ps-0'],
  ]
  for (const kills of plans) {
    const got = await drive({ module: tiny, workers: 2, shards: 2, kills })
    equal(t, got, kills.join(', '))
    t.strictSame([...got.fired].sort(), [...kills].sort(), 'every kill hit its phase')
    t.ok(
      got.refused.every(push => push.sameBits !== false),
      'repeated pushes hold the same bits',
    )
  }
})

t.test('ranks that may be apart: each makes each of its steps once, whoever dies', async t => {
  const kills = ['worker-1@1', 'worker-1@10/after-push:ps-0', 'worker-0@13', 'worker-0@21/after-push:ps-1']
  for (const staleness of [2, Infinity]) {
    const got = await drive({ module: tiny, workers: 2, shards: 2, staleness, kills })
    t.strictSame([...got.fired].sort(), [...kills].sort(), 'every kill hit its phase')
    for (const rank of [0, 1]) {
      const own = got.closed.filter(step => step.rank === rank)
      t.strictSame(
        own.map(({ step }) => step),
        Array.from({ length: STEPS }, (_, step) => step),
        `staleness ${staleness}, rank ${rank}: every step, in order, once`,
      )
      t.equal(
        own.reduce((sum, { rows }) => sum + rows, 0),
        3 * (rank === 0 ? 49 : 48),
        'every row of its plan once an epoch',
      )
      t.ok(
        own.every(({ outputs }) => Number.isFinite(outputs[0])),
        'its own loss',
      )
    }
  }
})
