// The client against a real NameNode and real DataNodes, also while they are killed.
import http from 'node:http'
import t, { type Test } from 'tap'
import { WebHdfs, type HdfsOptions } from '../../src/hdfs/index.js'
import type { TrialHdfs } from '../../src/engines/index.js'
import { needHdfs, startHdfs } from '../helpers/engines.js'

let trial: TrialHdfs
/** A DataNode that closes a file asks the NameNode again after 400 ms, unless it is told another time. */
const QUICK = { 'dfs.client.block.write.locateFollowingBlock.initial.delay.ms': '5' }
// Servers start and stop on machines that are busy with something else.
t.setTimeout(300_000)

const { skip } = await needHdfs()
if (skip === false)
  trial = await startHdfs(t, {
    datanodes: 2,
    settings: { ...QUICK, 'dfs.ls.limit': '7', 'fs.trash.interval': '60' },
  })
const place = (path: string): string => `${trial.url.replace('http', 'webhdfs')}${path}`
/** A test that needs the real thing. */
const real = (title: string, test: (t: Test) => Promise<void>): Promise<unknown> =>
  t.test(title, { skip }, test)

const USER = 'root'
const open = (options: HdfsOptions = {}): WebHdfs => WebHdfs.open(place('/'), { user: USER, ...options })

async function content(hdfs: WebHdfs, path: string, offset?: number, length?: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of hdfs.read(path, offset, length)) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Bytes that differ from place to place. */
function pattern(bytes: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4)).map((_, index) => Math.imul(index, 2654435761))
  return Buffer.from(words.buffer, 0, bytes)
}

/** What only tests ask a NameNode for. */
async function ask(method: string, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${trial.url}/webhdfs/v1${path}&user.name=${USER}`, { method }, response => {
      let text = ''
      response.on('data', (data: Buffer) => (text += data.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    request.on('error', reject)
    request.end()
  })
}

void real('Names: spaces, percent, question marks, hashes, Unicode go and come back as they are', async t => {
  const hdfs = open()
  const names = [
    'a b',
    '100%',
    '%41',
    'what?',
    '#1',
    'a&b=c',
    'semi;colon',
    'größe',
    '日本',
    "it's",
    '+',
    '[x]',
    '~',
  ]
  for (const name of names)
    await hdfs.writeFile(`/names/${name}/${name}`, Buffer.from(name), { createParents: true })
  t.same(
    (await hdfs.list('/names'))?.map(({ name }) => name),
    names.toSorted((a, b) => (a < b ? -1 : 1)),
    'in pages of seven',
  )
  for (const name of names) {
    t.equal((await content(hdfs, `/names/${name}/${name}`)).toString(), name)
    t.equal(await hdfs.renameExclusive(`/names/${name}`, `/names/moved ${name}`), 'done')
  }
  t.equal((await hdfs.list('/names'))?.length, names.length)
  t.equal(await hdfs.list('/names/none'), undefined)
  t.equal(await hdfs.status('/names/none'), undefined)
  t.equal(await hdfs.list(`/names/moved a b/a b`), undefined, 'a file is no folder')
})

void real('Ranges: of a file of several blocks any part is read, clipped at its end', async t => {
  const hdfs = open()
  const bytes = pattern(3 * 1024 * 1024 + 17)
  await hdfs.writeFile('/ranges', bytes)
  t.match(await hdfs.status('/ranges'), { directory: false, bytes: bytes.length, owner: USER })
  t.ok((await content(hdfs, '/ranges')).equals(bytes))
  const ranges = [
    [0, 10],
    [1024 * 1024 - 3, 6],
    [2_000_000, 1_000_000],
    [bytes.length - 5, 100],
    [bytes.length, 10],
    [bytes.length + 10, 10],
  ] as const
  const parts = await Promise.all(ranges.map(async ([at, length]) => content(hdfs, '/ranges', at, length)))
  for (const [index, [at, length]] of ranges.entries()) {
    t.ok(parts[index]!.equals(bytes.subarray(at, at + length)), `${at}, ${length}`)
  }
  await hdfs.writeFile('/empty', new Uint8Array())
  t.equal((await content(hdfs, '/empty')).length, 0)
  await t.rejects(content(hdfs, '/none'), {
    code: 'ERR_HDFS_MISSING',
    message: /^reading webhdfs:.*\/none: FileNotFound/,
  })
})

void real('A file has its name only once it is whole, and never takes the name of another', async t => {
  const hdfs = open()
  const writer = await hdfs.create('/fresh', {})
  await writer.write(pattern(100_000))
  t.equal(await hdfs.status('/fresh'), undefined)
  await hdfs.writeFile('/fresh', Buffer.from('first'))
  await t.rejects(
    hdfs.writing('/fresh', () => writer.close()),
    { code: 'ERR_HDFS_EXISTS' },
  )
  await writer.abort()
  t.equal((await content(hdfs, '/fresh')).toString(), 'first')
  await t.rejects(hdfs.create('/fresh'), { code: 'ERR_HDFS_EXISTS' })
  await t.rejects(hdfs.create('/no/parent'), {
    code: 'ERR_HDFS_MISSING',
    message: /the folder it should lie in is not there/,
  })
  const broken = await hdfs.create('/broken')
  await broken.write(pattern(2_000_000))
  await broken.abort()
  t.same(
    (await hdfs.list('/'))?.filter(({ name }) => name.endsWith('.part')),
    [],
    'nothing is left behind',
  )
})

void real('Exclusive rename: never into, never onto, not even an empty folder', async t => {
  const hdfs = open()
  for (const folder of ['/ren/a', '/ren/b', '/ren/c']) await hdfs.makeDirectory(folder)
  await hdfs.makeDirectory('/ren/a')
  t.equal(await hdfs.renameExclusive('/ren/a', '/ren/b'), 'exists')
  t.equal(await hdfs.renameExclusive('/ren/a', '/no/where'), 'missing')
  t.equal(await hdfs.renameExclusive('/ren/none', '/ren/d'), 'missing')
  t.equal(await hdfs.renameExclusive('/ren/a', '/ren/d'), 'done')
  t.same(
    (await hdfs.list('/ren'))?.map(({ name }) => name),
    ['b', 'c', 'd'],
  )
})

void real('The trash of the server takes what was in use; what was there before stays', async t => {
  const hdfs = open()
  for (let round = 0; round < 2; round++) {
    await hdfs.writeFile('/old/one/file', Buffer.from(`${round}`), { createParents: true })
    await hdfs.moveToTrash('/old/one')
  }
  t.equal(await hdfs.status('/old/one'), undefined)
  const kept = await hdfs.list(`/user/${USER}/.Trash/Current/old`)
  t.equal(kept?.length, 2)
  t.equal((await content(hdfs, `/user/${USER}/.Trash/Current/old/one/file`)).toString(), '0')
  const careless = open({ trash: false })
  await careless.writeFile('/old/two', Buffer.from('x'))
  await careless.moveToTrash('/old/two')
  t.equal((await hdfs.list(`/user/${USER}/.Trash/Current/old`))?.length, 2)
})

void real('Quotas of names and of space: ERR_HDFS_FULL at once, with what the server said', async t => {
  const hdfs = open()
  await hdfs.makeDirectory('/few')
  t.equal((await ask('PUT', '/few?op=SETQUOTA&namespacequota=2&storagespacequota=-1')).status, 200)
  await hdfs.writeFile('/few/one', Buffer.from('1'))
  await t.rejects(hdfs.writeFile('/few/two', Buffer.from('2')), {
    code: 'ERR_HDFS_FULL',
    message: /NSQuotaExceededException.*Remedy: raise the quota/s,
  })
  await hdfs.makeDirectory('/small')
  t.equal((await ask('PUT', '/small?op=SETQUOTA&namespacequota=-1&storagespacequota=1500000')).status, 200)
  await t.rejects(hdfs.writeFile('/small/big', pattern(12_000_000)), {
    code: 'ERR_HDFS_FULL',
    message: /DSQuotaExceededException/,
  })
  t.same(await hdfs.list('/small'), [], 'nothing is left behind')
})

void real('Who may not write is told so at once; the names of users that HDFS refuses, too', async t => {
  await open().makeDirectory('/closed')
  const stranger = open({ user: 'stranger' })
  await t.rejects(stranger.writeFile('/closed/x', Buffer.from('x')), {
    code: 'ERR_HDFS_DENIED',
    message: /AccessControlException: Permission denied: user=stranger/,
  })
  await t.rejects(stranger.makeDirectory('/closed/y'), { code: 'ERR_HDFS_DENIED' })
  await open().makeDirectory('/strange')
  t.equal((await ask('PUT', '/strange?op=SETOWNER&owner=stranger')).status, 200)
  await stranger.writeFile('/strange/file', Buffer.from('mine'))
  t.equal(await stranger.status('/strange/file/below'), undefined, 'a path below a file is not there')
  t.equal(await stranger.renameExclusive('/strange/file', '/strange/moved'), 'done')
  await t.rejects(open({ user: 'b/ob' }).list('/'), { code: 'ERR_HDFS_REFUSED', message: /user\.name/ })
})

void real('Safe mode: reads go on, writes wait until it is over', async t => {
  const hdfs = open()
  await hdfs.writeFile('/safe', Buffer.from('before'))
  await trial.enterSafeMode()
  t.equal((await content(hdfs, '/safe')).toString(), 'before')
  await t.rejects(open({ retryForMs: 300 }).makeDirectory('/later'), {
    code: 'ERR_HDFS_UNAVAILABLE',
    message: /SafeModeException.*safe mode/s,
  })
  const waiting = hdfs.writeFile('/after', Buffer.from('after'))
  await trial.leaveSafeMode()
  await waiting
  t.equal((await content(hdfs, '/after')).toString(), 'after')
})

void real('The NameNode is gone for a while: what is under way waits, and is done once', async t => {
  const hdfs = open()
  await hdfs.makeDirectory('/restart')
  await trial.stopNameNode()
  await t.rejects(open({ retryForMs: 200 }).list('/'), {
    code: 'ERR_HDFS_UNAVAILABLE',
    message: /ECONNREFUSED/,
  })
  const waiting = [
    hdfs.writeFile('/restart/file', pattern(300_000)),
    hdfs.makeDirectory('/restart/folder'),
    hdfs.list('/restart'),
  ]
  await trial.startNameNode()
  await Promise.all(waiting)
  t.same(
    (await hdfs.list('/restart'))?.map(({ name }) => name),
    ['file', 'folder'],
  )
  t.ok((await content(hdfs, '/restart/file')).equals(pattern(300_000)))
})

void real(
  'DataNodes die in the middle of an upload: what is short goes to another, what is long is refused whole',
  async t => {
    const bytes = pattern(1_500_000)
    const hdfs = open()
    for (const dying of [0, 1]) {
      const writer = await hdfs.create(`/dying-${dying}`)
      await writer.write(bytes.subarray(0, 700_000))
      await trial.stopDataNode(dying)
      await writer.write(bytes.subarray(700_000))
      await writer.close()
      t.ok((await content(hdfs, `/dying-${dying}`)).equals(bytes), `DataNode ${dying} stopped`)
      await trial.startDataNode(dying)
    }
    const impatient = open({ replayMaxBytes: 1000, retryForMs: 500 })
    const writer = await impatient.create('/lost')
    await writer.write(bytes.subarray(0, 700_000))
    await trial.stopDataNode(0)
    await trial.stopDataNode(1)
    await t.rejects(
      (async () => {
        for (let piece = 0; piece < 20; piece++) await impatient.writing('/lost', () => writer.write(bytes))
        await impatient.writing('/lost', () => writer.close())
      })(),
      { code: 'ERR_HDFS_UNAVAILABLE' },
    )
    await writer.abort()
    t.equal(await hdfs.status('/lost'), undefined, 'nobody takes it for a file')
    await trial.startDataNode(0)
    await trial.startDataNode(1)
    await hdfs.writeFile('/lost', bytes)
    t.ok((await content(hdfs, '/lost')).equals(bytes))
  },
)
