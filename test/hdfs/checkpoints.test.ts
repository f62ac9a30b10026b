// Checkpoints in a real HDFS: the contract that local disk keeps, and what only servers can do to it.
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { CheckpointStore, FaultyFiles, type CheckpointFiles } from '../../src/checkpoint/index.js'
import { HdfsPlaces, type HdfsOptions } from '../../src/hdfs/index.js'
import { checkpointContract, raceContract } from '../helpers/checkpoint-contract.js'
import type { TrialHdfs } from '../../src/engines/index.js'
import { needHdfs, startHdfs } from '../helpers/engines.js'
import { FACTS, holds, save, seedOf, write } from '../helpers/checkpoint-sample.js'

let trial: TrialHdfs
let places = 0
/** A DataNode that closes a file asks the NameNode again after 400 ms, unless it is told another time. */
const QUICK = { 'dfs.client.block.write.locateFollowingBlock.initial.delay.ms': '5' }
// Servers start and stop on machines that are busy with something else.
t.setTimeout(300_000)

const { skip } = await needHdfs()
if (skip === false) trial = await startHdfs(t, { settings: QUICK })
const place = (path: string): string => `${trial.url.replace('http', 'webhdfs')}${path}`
/** A test that needs the real thing. */
const real = (title: string, test: (t: Test) => Promise<void>): Promise<unknown> =>
  t.test(title, { skip }, test)

const open = (path: string, options: HdfsOptions = {}): CheckpointFiles =>
  new HdfsPlaces(undefined, { user: 'root', ...options }).open(place(path))
const newPlace = async (): Promise<CheckpointFiles> =>
  open(`/jobs/place-${places++}`, { responseTimeoutMs: 2000 })

void real('Contract', async t => {
  await checkpointContract(t, 'HDFS', newPlace)
  await checkpointContract(
    t,
    'HDFS that may fail',
    async () => new FaultyFiles(await newPlace(), () => undefined),
  )
})

void real('Race', async t => raceContract(t, 'HDFS', newPlace, 100))

/** Uploads as a client does that dies after some bytes: the connection ends, the server closes the file. */
async function brokenUpload(path: string, announced: number, sent: number): Promise<void> {
  const location = await new Promise<string>(resolve => {
    const url = `${trial.url}/webhdfs/v1${path}?op=CREATE&noredirect=true&user.name=root`
    request(url, { method: 'PUT' }, response => {
      let text = ''
      response.on('data', (data: Buffer) => (text += data.toString()))
      response.on('end', () => resolve((JSON.parse(text) as { Location: string }).Location))
    }).end()
  })
  await new Promise<void>(resolve => {
    const upload = request(location, { method: 'PUT', headers: { 'content-length': announced } })
    upload.on('error', () => resolve())
    upload.write(new Uint8Array(sent), () => upload.destroy())
    upload.on('close', () => resolve())
  })
}

void real('An upload cut at any point shows as a whole file, and is never taken for one', async t => {
  const files = await newPlace()
  const store = new CheckpointStore(files)
  await save(store, 1, 10)
  for (const sent of [1, 1000, 70_000, 199_999]) {
    const attempt = await store.beginAttempt(1, 20)
    await write(attempt, 1)
    const state = `${attempt.directory}/state.msgpack`
    // The receipt of a writer whose last bytes never came.
    attempt.add({ file: 'state.msgpack', bytes: 200_000, sha256: '0'.repeat(64) })
    await files.remove(state)
    await brokenUpload(`${new URL(files.place).pathname}/${state}`, 200_000, sent)
    await t.rejects(attempt.commit(FACTS), {
      code: 'ERR_CHECKPOINT_INCOMPLETE',
      message: /of state\.msgpack|lost state/,
    })
  }
  const { checkpoint, skipped } = await store.newest()
  t.equal(checkpoint?.entry.step, 10)
  t.same(skipped, [])
})

void real(
  'A NameNode that restarts during a commit: the commit waits and is done; nothing is half',
  async t => {
    // A busy machine takes longer to start one than the default waits.
    const files = open(`/jobs/place-${places++}`, { responseTimeoutMs: 2000, retryForMs: 180_000 })
    const store = new CheckpointStore(files)
    const attempt = await store.beginAttempt(1, 10)
    await write(attempt, seedOf(1, 10))
    const stopped = trial.stopNameNode()
    const committing = attempt.commit(FACTS)
    await stopped
    await trial.startNameNode()
    t.equal((await committing).outcome, 'committed')
    const { checkpoint } = await store.requireNewest()
    t.ok(await holds(checkpoint, seedOf(1, 10)))
  },
)

void real('Without a NameNode a place cannot be asked: never taken for an empty one', async t => {
  const path = `/jobs/place-${places++}`
  await save(new CheckpointStore(open(path)), 1, 10)
  await trial.stopNameNode()
  const files = open(path, { retryForMs: 100 })
  await t.rejects(new CheckpointStore(files).newest(), {
    code: 'ERR_CHECKPOINT_IO',
    message: /^listing webhdfs:/,
  })
  await t.rejects(files.stat('g0001'), { code: 'ERR_CHECKPOINT_IO', cause: { code: 'ERR_HDFS_UNAVAILABLE' } })
  await trial.startNameNode()
  t.equal((await new CheckpointStore(files).newest()).checkpoint?.entry.step, 10)
})

void real(
  'Who may not write is told so, with no second try; a full quota leaves the last checkpoint',
  async t => {
    const files = await newPlace()
    const store = new CheckpointStore(files)
    await save(store, 1, 10)
    const stranger = new CheckpointStore(open(new URL(files.place).pathname, { user: 'stranger' }))
    await t.rejects(save(stranger, 1, 20), { code: 'ERR_HDFS_DENIED', message: /user=stranger/ })
    const { checkpoint } = await stranger.requireNewest()
    t.ok(await holds(checkpoint, seedOf(1, 10)), 'reading is allowed')
    await new Promise<void>(resolve => {
      const quota = `${trial.url}/webhdfs/v1${new URL(files.place).pathname}?op=SETQUOTA&namespacequota=12&storagespacequota=-1&user.name=root`
      request(quota, { method: 'PUT' }, response => {
        response.resume().on('end', () => resolve())
      }).end()
    })
    await t.rejects(save(store, 1, 20), {
      code: 'ERR_CHECKPOINT_DISK_FULL',
      cause: { code: 'ERR_HDFS_FULL' },
    })
    t.equal((await store.newest()).checkpoint?.entry.step, 10)
  },
)
