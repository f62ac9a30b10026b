import { userInfo } from 'node:os'
import t from 'tap'
import { hdfsRoundTrip } from '../../src/engines/hdfs/round-trip.js'
import { HdfsCluster, TrialHdfs } from '../../src/engines/index.js'
import { needHdfs, startHdfs, startHdfsCluster } from '../helpers/engines.js'

const { skip, path } = await needHdfs()

/** Each connection that a DataNode still has to the NameNode of before answers once with an error: clients try again. */
async function patiently<T>(work: () => Promise<T>, tries = 8): Promise<T> {
  return work().catch((error: unknown) => {
    if (tries === 1) throw error
    return patiently(work, tries - 1)
  })
}

t.test(
  'Trial HDFS: files survive a NameNode that is stopped and started, on the same ports',
  { skip },
  async t => {
    const hdfs = await startHdfs(t, { datanodes: 2 })
    t.match(await hdfsRoundTrip(hdfs.url), /^wrote, read and removed/)
    await hdfs.stopNameNode()
    await t.rejects(hdfsRoundTrip(hdfs.url), { code: 'ERR_ENGINE_ANSWER' })
    await hdfs.startNameNode()
    t.match(await hdfs.status(), { state: 'active', reported: 2 })
    t.match(await hdfsRoundTrip(hdfs.url), /^wrote, read and removed/)
  },
)

t.test('Trial HDFS: safe mode refuses writes; a DataNode stops and comes back', { skip }, async t => {
  const hdfs = await startHdfs(t)
  await hdfs.enterSafeMode()
  await t.rejects(hdfsRoundTrip(hdfs.url), { cause: { message: /SafeModeException/ } })
  await hdfs.leaveSafeMode()
  await hdfs.stopDataNode(0)
  t.match((await hdfs.status()).datanodes, [{ index: 0, up: false }])
  await hdfs.startDataNode(0)
  t.match(await hdfsRoundTrip(hdfs.url), /^wrote, read and removed/)
})

t.test('HDFS cluster: the other NameNode takes over when the active is killed', { skip }, async t => {
  const cluster = await startHdfsCluster(t, { pair: true })
  const [first = '', second = ''] = cluster.urls
  t.match(await hdfsRoundTrip(first), /^wrote/)
  const put = await fetch(`${first}/webhdfs/v1/kept?op=MKDIRS&user.name=${userInfo().username}`, {
    method: 'PUT',
  })
  t.same(await put.json(), { boolean: true })
  const standby = await hdfsRoundTrip(second).catch((error: unknown) => error as Error)
  t.match(standby, { code: 'ERR_ENGINE_ANSWER', cause: { message: /StandbyException/ } })
  await cluster.nameNodes[0]?.kill()
  await cluster.activate(1)
  t.match(await patiently(() => hdfsRoundTrip(second)), /^wrote/)
  const kept = await fetch(`${second}/webhdfs/v1/kept?op=GETFILESTATUS`)
  t.match(
    await kept.json(),
    { FileStatus: { type: 'DIRECTORY' } },
    'what the dead one had acknowledged is there',
  )
  await cluster.nameNodes[0]?.start()
  t.match(await cluster.nameNodes[0]?.status(), { state: 'standby' })
})

t.test('HDFS cluster: a DataNode that was killed comes back on the same ports', { skip }, async t => {
  const cluster = await startHdfsCluster(t)
  const [url = ''] = cluster.urls
  const before = await cluster.dataNodes[0]?.status()
  await cluster.dataNodes[0]?.kill()
  await t.rejects(hdfsRoundTrip(url), { code: 'ERR_ENGINE_ANSWER' })
  await cluster.dataNodes[0]?.start()
  await cluster.ready(0, 1)
  t.same((await cluster.dataNodes[0]?.status())?.datanodes, before?.datanodes)
  t.match(await patiently(() => hdfsRoundTrip(url)), /^wrote/)
})

t.test('HDFS: a wrong setting is shown with the log, and no process is left', { skip }, async t => {
  const settings = { 'dfs.namenode.http-address': 'nowhere' }
  const refusal = { code: 'ERR_ENGINE_START', message: /nowhere/ }
  await t.rejects(TrialHdfs.start(path, { settings }), refusal)
  await t.rejects(HdfsCluster.start(path, { settings }), refusal)
})
