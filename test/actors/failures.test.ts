import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { Ledger, SnapshotReader } from '../../src/training/index.js'
import { runRugged, type JobRun, type RuggedOptions } from '../helpers/job-run.js'

// Each program loads TensorFlow in a thread of its own.
t.setTimeout(600_000)

const INTERVAL = 5

const disturbed = (kills: readonly string[], more: RuggedOptions = {}): Promise<JobRun> =>
  runRugged({ kills, checkpoints: { everySteps: INTERVAL }, ...more })

const clean = await runRugged({ checkpoints: { everySteps: INTERVAL } })

const byText = (a: string, b: string): number => (a < b ? -1 : 1)

/** The promise of exact mode, and that each kill happened where it was planned. */
function unharmed(t: Test, run: JobRun, kills: readonly string[]): void {
  const { done } = run
  t.equal(done?.weightsSha256, clean.done!.weightsSha256, 'weights and statistics')
  t.equal(done?.slotsSha256, clean.done!.slotsSha256, 'slots')
  t.strictSame(run.history, clean.history, 'loss history')
  t.strictSame(done?.result, clean.done!.result, 'what main returned')
  t.match(done, { exact: true, exactNote: null, restarts: kills.length })
  t.strictSame(
    run.failures.map(({ fault }) => fault ?? '').toSorted(byText),
    kills.toSorted(byText),
    'every kill happened, once',
  )
  t.strictSame(run.warnings, [], 'and none was left over')
  const repeated = run.restored.map(({ recomputedSteps }) => recomputedSteps)
  t.ok(Math.max(0, ...repeated) <= INTERVAL, `steps computed again: ${repeated.join(', ')}`)
}

/** Who neither died nor runs user code goes on as it is. */
function kept(t: Test, { incarnations: { before, after } }: JobRun, names: readonly string[]): void {
  for (const name of names) t.equal(after[name], before[name], `${name} keeps its incarnation`)
}

t.test('the undisturbed job', async t => {
  t.match(clean.done, { exact: true, restarts: 0, steps: 21, checkpoint: null })
  t.equal(clean.history.length, 21)
  t.strictSame(clean.incarnations.after, clean.incarnations.before)
})

t.test('a worker dies: nobody else is started again', async t => {
  const kills = ['worker-1@4', 'worker-1@9/after-push:ps-0', 'worker-0@16/after-push:ps-1']
  const run = await disturbed(kills)
  unharmed(t, run, kills)
  kept(t, run, ['supervisor', 'ps-0', 'ps-1', 'feeder', 'checkpointer'])
  t.match(run.restored[0], {
    actor: 'worker-1',
    reason: 'killed',
    step: 4,
    replayedSteps: 3,
    recomputedSteps: 0,
  })
})

t.test('feeder and supervisor die: no worker and no server notices', async t => {
  const kills = ['feeder@6', 'supervisor@8', 'supervisor@8', 'feeder@12', 'feeder@17', 'supervisor@17']
  const run = await disturbed(kills)
  unharmed(t, run, kills)
  kept(t, run, ['ps-0', 'ps-1', 'worker-0', 'worker-1', 'checkpointer'])
})

t.test('servers die: all workers go back to the checkpoint, nobody else', async t => {
  const kills = ['ps-0@8', 'ps-1@8', 'ps-1@13', 'ps-1@13']
  const run = await disturbed(kills)
  unharmed(t, run, kills)
  kept(t, run, ['supervisor', 'feeder', 'checkpointer'])
  t.ok(run.incarnations.after['worker-0']! > run.incarnations.before['worker-0']!)
})

t.test('in a checkpoint, in a validation, in a save, and two at once', async t => {
  const kills = [
    'worker-0@3',
    'worker-1@3',
    'ps-1@4/during-checkpoint',
    'supervisor@9/during-checkpoint',
    'worker-0@8/during-validation',
    'ps-0@15/during-validation',
    'worker-0@20/during-save',
  ]
  const directory = t.testdir()
  const run = await disturbed(kills, { args: { saveTo: pathToFileURL(directory).href } })
  unharmed(t, run, kills)
  kept(t, run, ['feeder', 'checkpointer'])
})

t.test('in a recovery: of the same actor, of another one, of the supervisor', async t => {
  const kills = [
    'worker-1@4',
    'worker-1@4/during-recovery:worker-1',
    'ps-0@8',
    'ps-0@8/during-recovery:ps-0',
    'ps-1@8/during-recovery:ps-0',
    'supervisor@8/during-recovery:ps-1',
    'feeder@12',
    'worker-0@12/during-recovery:feeder',
    'supervisor@14',
    'ps-1@14/during-recovery:supervisor',
  ]
  const run = await disturbed(kills)
  unharmed(t, run, kills)
  kept(t, run, ['checkpointer'])
})

t.test('control: without a ledger a repeated push is applied twice', async t => {
  t.intercept(Ledger.prototype, 'judge', { value: () => 'accept' })
  const outcome = await disturbed(['worker-1@9/after-push:ps-0']).catch((error: unknown) => ({ error }))
  const same = 'done' in outcome && outcome.done?.weightsSha256 === clean.done!.weightsSha256
  t.notOk(same, 'the weights differ, or the ranks diverge')
})

t.test('control: without the statistics of BatchNorm the weights differ', async t => {
  const read = Reflect.get(SnapshotReader.prototype, 'read')
  t.intercept(SnapshotReader.prototype, 'read', {
    value(this: SnapshotReader, ...[wanted, into]: Parameters<SnapshotReader['read']>) {
      if (!wanted.variable.includes('moving_')) Reflect.apply(read, this, [wanted, into])
    },
  })
  const { done } = await disturbed(['ps-1@8'])
  t.not(done?.weightsSha256, clean.done!.weightsSha256)
})

t.test('servers and checkpoints in threads of their own: the same', async t => {
  const kills = ['ps-0@8', 'worker-1@9/after-push:ps-0', 'supervisor@13', 'ps-1@17']
  const run = await disturbed(kills, { serverIsolation: 'thread' })
  unharmed(t, run, kills)
  kept(t, run, ['feeder', 'checkpointer'])
})
