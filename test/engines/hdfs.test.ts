import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { hdfsRoundTrip } from '../../src/engines/hdfs/round-trip.js'
import { HdfsCluster, TrialHdfs } from '../../src/engines/index.js'
import { needHdfs, startHdfs, startHdfsCluster } from '../helpers/engines.js'

const { skip, path } = await needHdfs()

const PAUSE_MS = 250

/** Connections that a DataNode still has to the NameNode of before answer once with an error: clients try again. */
async function patiently<T>(work: () => Promise<T>, tries = 100): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work()
    } catch (error) {
      if (tried === tries) throw error
      await setTimeout(PAUSE_MS)
    }
  }
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

t.test('troupe hdfs up: prints its URL, and Ctrl-C takes it down', { skip }, async t => {
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
  const args = ['--import=tsx', '--conditions=troupe-source', main, 'hdfs', 'up']
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => void child.kill('SIGKILL'))
  let out = ''
  child.stdout.setEncoding('utf8')
  for await (const text of child.stdout as AsyncIterable<string>) {
    out += text
    if (out.includes('Ctrl-C stops it.')) break
  }
  const url = /^WebHDFS\s+(\S+)$/m.exec(out)?.[1] ?? ''
  t.match(await hdfsRoundTrip(url), /^wrote/)
  child.kill('SIGINT')
  t.same(await once(child, 'exit'), [0, null])
  await t.rejects(hdfsRoundTrip(url), { cause: { code: 'ECONNREFUSED' } })
})
