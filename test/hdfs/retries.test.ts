// What the client does when servers fail, by script and under a virtual clock.
import t from 'tap'
import { SeededRandom } from '../../src/determinism/index.js'
import { hasCode } from '../../src/errors.js'
import { OwnToken } from '../../src/hdfs/delegation.js'
import type { HttpExchange, HttpReply, HttpRequest } from '../../src/hdfs/exchange.js'
import { RequestFailure } from '../../src/hdfs/failure.js'
import { WebHdfs } from '../../src/hdfs/index.js'
import { readHdfsSettings, type HdfsOptions } from '../../src/hdfs/options.js'
import { loadKerberos, Spnego } from '../../src/hdfs/spnego.js'
import { VirtualClock } from '../../src/simulation/virtual-clock.js'

interface Scripted {
  readonly status: number
  readonly body: string
  readonly headers?: HttpReply['headers']
}

const ok = (body: object | string = ''): Scripted => ({
  status: 200,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})
const remote = (status: number, exception: string, message = ''): Scripted => ({
  status,
  body: JSON.stringify({ RemoteException: { exception, message } }),
})
const status = (fileId: number, type = 'DIRECTORY'): Scripted =>
  ok({ FileStatus: { type, length: 0, modificationTime: 5, fileId, pathSuffix: '' } })
const MISSING = remote(404, 'FileNotFoundException', 'rename source is not found.')
const STANDBY = remote(403, 'StandbyException', 'Operation category READ is not supported in state standby')
const cut = (ambiguous: boolean): RequestFailure =>
  new RequestFailure('ECONNRESET', { code: 'ERR_HDFS_UNAVAILABLE', reaction: 'switch', ambiguous })

/** A client whose requests are answered by `answer`, with what it asked and when. */
function scripted(
  answer: (request: HttpRequest, op: string) => Scripted | RequestFailure,
  options: HdfsOptions = {},
  origins: readonly string[] = ['http://one:1', 'http://two:2'],
): { hdfs: WebHdfs; asked: string[]; clock: VirtualClock } {
  const clock = new VirtualClock()
  const asked: string[] = []
  const exchange: HttpExchange = {
    async send(request) {
      const op = request.url.searchParams.get('op') ?? ''
      asked.push(`${clock.monotonic()} ${request.url.hostname} ${op}`)
      const given = answer(request, op)
      if (given instanceof RequestFailure) throw given
      const body = (async function* () {
        yield Buffer.from(given.body)
      })()
      return { status: given.status, headers: given.headers ?? {}, body, drop: () => undefined }
    },
    upload: () => Promise.reject(cut(false)),
    close: () => undefined,
  }
  const settings = readHdfsSettings({ user: 'ann', ...options }, {})
  const service = { name: 'hdfs://ha', origins, path: '/', kerberos: false }
  const random = new SeededRandom(1)
  return { hdfs: new WebHdfs(service, settings, { clock, random, exchange }), asked, clock }
}

/** Moves time until the promise is settled. */
async function settled<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  const state = { done: false }
  const end = (): void => void (state.done = true)
  promise.then(end, end)
  while (!state.done) await clock.advance(100)
  return promise
}

t.test('Standby: the other NameNode is asked at once, and first from then on', async t => {
  const { hdfs, asked, clock } = scripted(({ url }) => (url.hostname === 'one' ? STANDBY : status(7)))
  t.match(await hdfs.status('/a'), { directory: true, fileId: 7 })
  t.match(await hdfs.status('/a'), { fileId: 7 })
  t.same(asked, ['0 one GETFILESTATUS', '0 two GETFILESTATUS', '0 two GETFILESTATUS'])
  t.equal(clock.pending, 0)
})

t.test('Nobody answers: rounds with waits that grow, until the time is over', async t => {
  const { hdfs, asked, clock } = scripted(() => cut(false), { retryForMs: 10_000 })
  await t.rejects(settled(clock, hdfs.status('/a')), {
    code: 'ERR_HDFS_UNAVAILABLE',
    message: /^looking at hdfs:\/\/ha\/a: ECONNRESET\. Remedy: check that a NameNode is active/,
  })
  const times = asked.map(line => Number(line.split(' ')[0]))
  const last = Math.max(...times)
  t.ok(last >= 9_900 && last <= 10_100, `the last at ${last} ms`)
  const waits = [...new Set(times)].map((at, index, all) => at - (all[index - 1] ?? 0)).slice(1)
  t.ok(waits[0]! >= 50 && waits[0]! <= 200, 'the first')
  t.ok(Math.max(...waits) > 1000 && Math.max(...waits) <= 5100, `up to ${Math.max(...waits)} ms`)
  t.ok(asked.length < 30, `${asked.length} requests`)
  const once = scripted(() => cut(false), { retryForMs: 0 })
  await t.rejects(once.hdfs.status('/a'), { code: 'ERR_HDFS_UNAVAILABLE' })
  t.equal(once.asked.length, 2, 'each NameNode once')
})

t.test('Starting up, safe mode, a busy gateway: the same NameNode, later', async t => {
  const troubles = [
    remote(403, 'RetriableException', 'NameNode still not started'),
    remote(403, 'SafeModeException', 'Name node is in safe mode.'),
    remote(403, 'IOException', 'java.io.EOFException: End of File Exception between local host'),
    { status: 503, body: '<html>later</html>' },
  ]
  const { hdfs, asked, clock } = scripted(() => troubles.shift() ?? ok({ boolean: true }))
  await settled(clock, hdfs.makeDirectory('/a'))
  t.equal(asked.length, 5)
  t.ok(asked.every(line => line.includes(' one ')))
  t.ok(clock.monotonic() > 500)
})

t.test('What the server refuses is not asked again', async t => {
  const refusals = [
    [remote(403, 'AccessControlException', 'Permission denied: user=ann'), 'ERR_HDFS_DENIED'],
    [remote(500, 'FileAlreadyExistsException'), 'ERR_HDFS_EXISTS'],
    [remote(403, 'DSQuotaExceededException', 'quota'), 'ERR_HDFS_FULL'],
    [
      remote(403, 'SecurityException', 'Failed: SecretManager$InvalidToken: token (…) is expired'),
      'ERR_HDFS_AUTHENTICATION',
    ],
    [{ status: 401, body: '<html>Authentication required</html>' }, 'ERR_HDFS_AUTHENTICATION'],
    [remote(400, 'IllegalArgumentException', 'Invalid path name'), 'ERR_HDFS_REFUSED'],
  ] as const
  for (const [answer, code] of refusals) {
    const { hdfs, asked } = scripted(() => answer)
    await t.rejects(hdfs.makeDirectory('/a'), { code }, code)
    t.equal(asked.length, 1)
  }
  const { hdfs } = scripted(() => ok('<html>a portal</html>'))
  await t.rejects(hdfs.status('/a'), {
    code: 'ERR_HDFS_REFUSED',
    message: /not one of WebHDFS: "<html>a portal/,
  })
})

/** The rename is done, or not, and its reply is lost; then others act on the folder. */
function renames(after: Scripted, landed: Scripted): { hdfs: WebHdfs; asked: string[]; clock: VirtualClock } {
  let tries = 0
  return scripted(({ url }, op) => {
    if (op === 'RENAME') {
      // The probe for HttpFS comes first.
      if (url.pathname.includes('.part')) return MISSING
      return ++tries === 1 ? cut(true) : after
    }
    if (url.pathname.includes('.reserved')) return landed
    return url.pathname.endsWith('/source') ? status(41) : status(7)
  })
}

t.test(
  'A rename whose reply was lost is settled by the number of the inode, where its folder is by then',
  async t => {
    for (const [after, landed, outcome] of [
      [remote(403, 'FileAlreadyExistsException'), status(41), 'done'],
      [remote(403, 'FileAlreadyExistsException'), status(99), 'exists'],
      [MISSING, status(41), 'done'],
      [MISSING, MISSING, 'missing'],
      [ok(), MISSING, 'done'],
    ] as const) {
      const { hdfs, clock } = renames(after, landed)
      t.equal(await settled(clock, hdfs.renameExclusive('/g/source', '/g/target')), outcome)
    }
    const { hdfs } = scripted(({ url }, op) => {
      if (op === 'RENAME')
        return url.pathname.includes('.part') ? MISSING : remote(403, 'FileAlreadyExistsException')
      return url.pathname.includes('.reserved') ? cut(true) : status(41)
    })
    t.equal(await hdfs.renameExclusive('/g/source', '/g/target'), 'exists')
  },
)

t.test('HttpFS: read, but no commit, since its rename is not exclusive', async t => {
  const { hdfs, asked } = scripted((_request, op) => {
    if (op === 'RENAME') return ok({ boolean: false })
    return op === 'GETFILESTATUS' ? status(0) : cut(true)
  })
  t.match(await hdfs.status('/a'), { fileId: undefined })
  for (let time = 0; time < 2; time++) {
    await t.rejects(hdfs.requireExclusiveRename('/a'), {
      code: 'ERR_HDFS_READ_ONLY',
      message: /is an HttpFS: it ignores renameoptions\. Remedy: give the address of a NameNode/,
    })
  }
  t.equal(asked.filter(line => line.endsWith('RENAME')).length, 1, 'asked once')
})

t.test('SPNEGO: a ticket opens, the cookie goes on, a fresh ticket follows one that ran out', async t => {
  let tickets = 0
  const spnego = new Spnego(async () => ({
    GSS_MECH_OID_SPNEGO: 6,
    initializeClient: async (service, { mechOID }) => {
      t.same([service, mechOID], ['HTTP@one', 6])
      return { step: async () => `ticket-${++tickets}` }
    },
  }))
  const origin = 'http://one:1'
  const first = await spnego.proof(origin)
  t.same(first.headers, { authorization: 'Negotiate ticket-1' })
  t.equal(await spnego.refused(origin, first), false, 'a fresh ticket is not tried again')
  const reply = { status: 200, headers: { 'set-cookie': ['hadoop.auth="u=ann&e=9"; Path=/; HttpOnly'] } }
  spnego.learn(origin, reply as unknown as HttpReply)
  const second = await spnego.proof(origin)
  t.same(second.headers, { cookie: 'hadoop.auth="u=ann&e=9"' })
  t.equal(await spnego.refused(origin, second), true)
  t.same((await spnego.proof(origin)).headers, { authorization: 'Negotiate ticket-2' })
  await t.rejects(loadKerberos(), { code: 'ERR_HDFS_AUTHENTICATION', message: /npm install kerberos/ })
})

t.test('Own tokens: one for all requests, renewed in time, another one after its last day', async t => {
  const clock = new VirtualClock()
  const done: string[] = []
  let issued = 0
  let refuse = false
  const desk = {
    issue: async () => {
      done.push('issue')
      return `token-${++issued}`
    },
    renew: async (token: string) => {
      done.push(`renew ${token}`)
      if (refuse && token === 'token-1') throw new Error('beyond its last day')
      return clock.now() + 1000
    },
  }
  const own = new OwnToken(desk, clock)
  const proofs = await Promise.all([own.proof(), own.proof(), own.proof()])
  t.same(proofs[2]?.query, { delegation: 'token-1' })
  await clock.advance(700)
  await own.proof()
  t.same(done, ['issue', 'renew token-1'])
  await clock.advance(100)
  t.same((await own.proof()).query, { delegation: 'token-1' })
  t.equal(done.at(-1), 'renew token-1')
  refuse = true
  await clock.advance(800)
  t.same((await own.proof()).query, { delegation: 'token-2' })
  t.equal(await own.refused('', { query: { delegation: 'token-2' }, headers: {} }), true)
  t.same((await own.proof()).query, { delegation: 'token-3' })
})

t.test('No token in any error, whatever the server says', async t => {
  const { hdfs } = scripted(({ url }) => remote(400, 'IOException', `cannot do ${url.href}`), {
    token: 'SECRET',
  })
  const error: unknown = await hdfs.status('/a').catch((failure: unknown) => failure)
  t.ok(hasCode(error, 'ERR_HDFS_REFUSED'))
  t.notMatch(String((error as Error).stack) + JSON.stringify(error), /SECRET/)
  t.match((error as Error).message, /delegation=…/)
})
