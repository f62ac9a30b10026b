import t, { type Test } from 'tap'
import { explore } from 'troupe/testing'
import { GenerationFence, Ledger, SnapshotReader, type TensorInterval } from 'troupe/training'
import { PushDesk, type AcceptedPush } from '../../src/training/push-desk.js'
import { CALM, calmEnd, endsAs, HARSH, noFaults, wholeJob, wholeJobOptions } from './whole-job.js'

const SEEDS = 100
const APART_SEEDS = 15

// Seconds on a quiet machine, a minute and more beside other test files.
t.setTimeout(600_000)

const calm = await calmEnd()
const check = endsAs(calm)

t.test('the order of events does not matter', async t => {
  t.ok(calm.exact)
  t.equal(calm.steps, 6 * Math.ceil(37 / 15))
  const report = await explore(
    { ...wholeJobOptions, name: 'calm training', seeds: 10, plan: noFaults },
    wholeJob(CALM, check),
  )
  t.equal(report.seeds, 10)
})

t.test(`whole jobs end the same, whatever is killed, in ${SEEDS} seeds`, async t => {
  const report = await explore(
    {
      ...wholeJobOptions,
      name: 'training',
      seeds: SEEDS,
      plan: noFaults,
      expect: [
        'killed /job',
        'killed /job/ps-N',
        'killed /job/worker-N',
        'killed /job/feeder',
        'killed /job/checkpointer',
        'worker-N failed',
        'a chief of an earlier generation was refused',
      ],
    },
    wholeJob(HARSH, check),
  )
  t.equal(report.seeds, SEEDS)
  t.comment(`${report.events} events`, report.sometimes)
})

for (const staleness of [2, Infinity]) {
  t.test(
    `staleness ${staleness}: whatever is killed, no batch is lost or doubled, in ${APART_SEEDS} seeds`,
    async t => {
      const expected = await calmEnd({ ...CALM, staleness })
      t.match(expected, { exact: false, exactNote: `async, staleness ${staleness}` })
      const own = 6 * Math.ceil(37 / 15)
      t.strictSame(expected.workerSteps, { 'worker-0': own, 'worker-1': own, 'worker-2': own })
      const report = await explore(
        {
          ...wholeJobOptions,
          name: `training, staleness ${staleness}`,
          seeds: APART_SEEDS,
          plan: noFaults,
          expect: ['killed /job', 'killed /job/ps-N', 'killed /job/worker-N', 'killed /job/feeder'],
        },
        wholeJob({ ...HARSH, staleness }, endsAs(expected)),
      )
      t.equal(report.seeds, APART_SEEDS)
      t.comment(`${report.events} events`, report.sometimes)
    },
  )
}

/**
 * Breaks the product on purpose while `work` runs: the product has no switch for it.
 *
 * @param change makes another property of what stands there
 */
async function broken(
  prototype: object,
  key: string,
  change: (original: PropertyDescriptor) => PropertyDescriptor,
  work: () => Promise<void>,
): Promise<void> {
  const original = Object.getOwnPropertyDescriptor(prototype, key)!
  Object.defineProperty(prototype, key, { ...original, ...change(original) })
  try {
    await work()
  } finally {
    Object.defineProperty(prototype, key, original)
  }
}

const WITHIN_SEEDS = 50
const DIFFERS = /weights, slots and what user code saw are the same/

/** The seeds see that something is broken. */
async function found(
  t: Test,
  name: string,
  message: RegExp = DIFFERS,
  scenario = wholeJob(HARSH, check),
): Promise<void> {
  const options = { ...wholeJobOptions, name, seeds: WITHIN_SEEDS, plan: noFaults, print: () => undefined }
  const exploration = explore(options, scenario)
  await t.rejects(exploration, { code: 'ERR_EXPLORATION_FAILED', cause: { message } })
}

t.test('control: without a ledger', t => {
  const acceptsAll = (): PropertyDescriptor => ({ value: () => 'accept' })
  return broken(Ledger.prototype, 'judge', acceptsAll, () => found(t, 'no ledger', /./))
})

t.test('control: without the check of generations', t => {
  const admitsAll = (): PropertyDescriptor => ({ value: () => true })
  return broken(GenerationFence.prototype, 'admits', admitsAll, () => found(t, 'no generations', /./))
})

t.test('control: where workers are apart, without a ledger', async t => {
  const options = { ...HARSH, staleness: 2 }
  const expected = await calmEnd({ ...CALM, staleness: 2 })
  const acceptsAll = (): PropertyDescriptor => ({ value: () => 'accept' })
  await broken(Ledger.prototype, 'judge', acceptsAll, () =>
    found(t, 'no ledger, staleness 2', /./, wholeJob(options, endsAs(expected))),
  )
})

t.test('control: gradients are reduced in the order in which they came', t => {
  const came = new WeakMap<AcceptedPush, number>()
  let count = 0
  const placeOf = (push: AcceptedPush | undefined): number => (push && came.get(push)) ?? count
  const sorted = (original: PropertyDescriptor): PropertyDescriptor => ({
    get(this: PushDesk) {
      const pushes = original.get!.call(this) as readonly (AcceptedPush | undefined)[]
      for (const push of pushes) if (push !== undefined && !came.has(push)) came.set(push, count++)
      return [...pushes].sort((a, b) => placeOf(a) - placeOf(b))
    },
  })
  return broken(PushDesk.prototype, 'accepted', sorted, () => found(t, 'order of arrival'))
})

t.test('control: statistics are not restored', t => {
  const forgetful = ({ value }: PropertyDescriptor): PropertyDescriptor => ({
    value(this: SnapshotReader, wanted: TensorInterval, into: Float32Array) {
      if (wanted.variable !== 'mean') (value as SnapshotReader['read']).call(this, wanted, into)
    },
  })
  return broken(SnapshotReader.prototype, 'read', forgetful, () => found(t, 'no statistics'))
})
