import t from 'tap'
import { hdfsRoundTrip } from '../../src/engines/hdfs/round-trip.js'
import { needHdfs, startHdfs } from '../helpers/engines.js'

const { skip } = await needHdfs()

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
