// A pair of NameNodes and a DataNode, each a process of its own, that are killed; and tokens that run out.
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CheckpointStore } from '../../src/checkpoint/index.js'
import { HdfsPlaces, WebHdfs } from '../../src/hdfs/index.js'
import { remoteFailure } from '../../src/hdfs/remote-exception.js'
import { FACTS, holds, save, seedOf, write } from '../helpers/checkpoint-sample.js'
import { needHdfs, startHdfs, startHdfsCluster } from '../helpers/engines.js'

// Servers start and stop on machines that are busy with something else.
t.setTimeout(300_000)

const { skip } = await needHdfs()

/** What an administrator would have in HADOOP_CONF_DIR. */
function configuration(t: Test, urls: readonly string[]): string {
  const properties = {
    'fs.defaultFS': 'hdfs://trial',
    'dfs.nameservices': 'trial',
    'dfs.ha.namenodes.trial': urls.map((_, index) => `nn${index}`).join(','),
    ...Object.fromEntries(
      urls.map((url, index) => [`dfs.namenode.http-address.trial.nn${index}`, new URL(url).host]),
    ),
  }
  const text = Object.entries(properties)
    .map(([name, value]) => `<property><name>${name}</name><value>${value}</value></property>`)
    .join('')
  return t.testdir({ 'hdfs-site.xml': `<configuration>${text}</configuration>` })
}

await t.test(
  'A pair: the active NameNode is killed in the middle of commits, and none is lost or half',
  { skip },
  async t => {
    const cluster = await startHdfsCluster(t, { pair: true })
    const configDirectory = configuration(t, cluster.urls)
    const places = new HdfsPlaces(undefined, { user: 'root', configDirectory, responseTimeoutMs: 5_000 })
    const store = new CheckpointStore(places.open('hdfs:///jobs/pair'))
    t.equal(store.files.place, 'hdfs://trial/jobs/pair')
    t.equal((await save(store, 1, 10)).outcome, 'committed')
    // At the look at lengths, and at the rename itself.
    for (const [round, delayMs] of [0, 25].entries()) {
      const step = 20 + round
      const [dying, heir] = round === 0 ? [0, 1] : [1, 0]
      const attempt = await store.beginAttempt(1, step)
      await write(attempt, seedOf(1, step))
      const committing = attempt.commit(FACTS)
      await sleep(delayMs)
      await cluster.nameNodes[dying]!.kill()
      await cluster.activate(heir)
      const outcome = await committing
      t.equal(outcome.outcome, 'committed', `NameNode ${dying} killed`)
      const { checkpoint, skipped } = await store.requireNewest()
      t.same([checkpoint.entry.step, skipped], [step, []])
      t.ok(await holds(checkpoint, seedOf(1, step)))
      await cluster.nameNodes[dying]!.start()
      await cluster.ready(dying, 1)
    }
    await cluster.dataNodes[0]!.kill()
    const attempt = await store.beginAttempt(1, 30)
    const writing = write(attempt, seedOf(1, 30))
    await cluster.dataNodes[0]!.start()
    await writing
    t.equal((await attempt.commit(FACTS)).outcome, 'committed', 'it waited for a DataNode')
  },
)

await t.test(
  'Tokens: one that ran out is named; a client with its own renews it and gets others',
  { skip },
  async t => {
    const trial = await startHdfs(t, {
      settings: {
        'dfs.namenode.delegation.token.always-use': 'true',
        'dfs.namenode.delegation.token.renew-interval': '1500',
        'dfs.namenode.delegation.token.max-lifetime': '4000',
        'dfs.namenode.delegation.key.update-interval': '60000',
      },
    })
    const url = trial.url.replace('http', 'webhdfs')
    const ask = (method: string, query: string): Promise<{ status: number; text: string }> =>
      new Promise(resolve => {
        request(`${trial.url}/webhdfs/v1/?user.name=root&op=${query}`, { method }, response => {
          let text = ''
          response.on('data', (data: Buffer) => (text += data.toString()))
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        }).end()
      })
    const issued = await ask('GET', 'GETDELEGATIONTOKEN&renewer=root')
    const token = (JSON.parse(issued.text) as { Token: { urlString: string } }).Token.urlString
    const given = WebHdfs.open(url, { token })
    const own = WebHdfs.open(url, { user: 'root', delegate: true })
    await given.writeFile('/by-token', Buffer.from('x'))
    t.match(await own.status('/by-token'), { bytes: 1, owner: 'root' })
    for (let second = 0; second < 6; second++) {
      await sleep(1_000)
      await own.writeFile(`/own-${second}`, Buffer.from('x'))
    }
    // A server without Kerberos looks at tokens only where they are renewed.
    const renewed = await ask('PUT', `RENEWDELEGATIONTOKEN&token=${token}`)
    const failure = remoteFailure(renewed.status, renewed.text)
    t.match(failure, { code: 'ERR_HDFS_AUTHENTICATION', reaction: 'authenticate' }, renewed.text)
    t.match(failure.toError('renewing', '/').message, /Remedy: get a fresh ticket/)
    t.equal((await own.list('/'))?.filter(({ name }) => name.startsWith('own-')).length, 6)
  },
)
