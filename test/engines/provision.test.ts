import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { SystemClock } from '../../src/determinism/index.js'
import { cacheRoot, EngineCache, HdfsEngine, type Engine } from '../../src/engines/index.js'
import { download } from '../../src/engines/download.js'
import { sha256Of } from '../../src/engines/digest.js'
import { findProgram } from '../../src/engines/program.js'
import { trySources } from '../../src/engines/try-sources.js'
import { withInstallLock } from '../../src/engines/install-lock.js'
import { TroupeError } from '../../src/errors.js'
import { needHdfs, needNats } from '../helpers/engines.js'

const clock = new SystemClock()
const nats = await needNats()
const hdfs = await needHdfs()
const quiet = { report: (): void => undefined }

/** An engine that is one file, for what every engine has in common. */
function smallEngine(install: Engine['install'], diskBytes = 10): Engine {
  return {
    name: 'nats',
    title: 'small engine',
    version: '1',
    sources: async () => [{ name: 'here', downloadBytes: 0, diskBytes }],
    find: async () => undefined,
    install,
    verify: async () => undefined,
    examine: async () => [],
  }
}

const installs = async (into: string): Promise<string> => {
  await writeFile(join(into, 'program'), 'works')
  return 'here'
}

/** What is in the cache but its locks' folder. */
async function filesIn(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true }).catch((): string[] => [])
  return names.filter(name => !/^(locks|staging)$/.test(name)).sort()
}

/** The real command line, in a process of its own. */
async function troupe(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number | null; out: string; err: string }> {
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
  const child = spawn(process.execPath, ['--import=tsx', '--conditions=troupe-source', main, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** For the time of a test. */
function setVariable(t: Test, name: string, value: string): void {
  const before = process.env[name]
  process.env[name] = value
  t.teardown(() => {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  })
}

t.test('Cache: TROUPE_CACHE, then an absolute XDG_CACHE_HOME, then the home directory', async t => {
  t.equal(cacheRoot({ TROUPE_CACHE: '/a', XDG_CACHE_HOME: '/b' }), '/a')
  t.equal(cacheRoot({ XDG_CACHE_HOME: '/b' }), '/b/troupe')
  t.match(cacheRoot({ XDG_CACHE_HOME: 'relative' }), /\.cache\/troupe$/)
})

t.test('Cache: an engine is there whole or not at all', async t => {
  const root = t.testdir()
  const cache = new EngineCache(clock, root)
  const fails = smallEngine(async into => {
    await installs(into)
    throw new TroupeError('ERR_ENGINE_DOWNLOAD', 'the connection broke')
  })
  await t.rejects(cache.provision(fails, quiet), { code: 'ERR_ENGINE_DOWNLOAD' })
  const broken = {
    ...smallEngine(installs),
    verify: () => Promise.reject(new TroupeError('ERR_ENGINE_BROKEN', 'no')),
  }
  await t.rejects(cache.provision(broken, quiet), { code: 'ERR_ENGINE_BROKEN' })
  const stopped = new AbortController()
  const aborted = smallEngine(async into => {
    stopped.abort()
    return installs(into)
  })
  await t.rejects(cache.provision(aborted, { ...quiet, signal: stopped.signal }), { name: 'AbortError' })
  t.same(await filesIn(root), [], 'nothing is left')

  const left = join(root, 'staging', 'nats.999999999.' + hostname() + '.abc')
  await mkdir(left, { recursive: true })
  const remains = cache.directory(fails)
  await mkdir(remains, { recursive: true })
  await writeFile(join(remains, 'half'), 'of it')
  const cached = await cache.provision(smallEngine(installs), quiet)
  t.match(cached, { version: '1', bytes: 5, source: 'here', dir: remains })
  t.same(await readdir(cached.dir), ['engine.json', 'program'], 'what was there without a manifest made room')
  t.same(await readdir(join(root, 'staging')), [], 'what a killed installation left is swept')
  t.same(await cache.list(), [cached])
  t.equal(await cache.remove('nats'), 1)
  t.same(await cache.list(), [])
})

t.test('Cache: a lock is waited for, and one of a dead process holds nobody', async t => {
  const path = join(t.testdir(), 'locks', 'nats')
  const order: string[] = []
  let release = (): void => undefined
  const held = new Promise<void>(done => (release = done))
  const first = withInstallLock(path, clock, async () => {
    order.push('first')
    await held
    order.push('first ends')
  })
  const second = withInstallLock(path, clock, async () => void order.push('second'), {
    waiting: pid => {
      order.push(`waits for ${pid === process.pid ? 'me' : pid}`)
      release()
    },
  })
  await Promise.all([first, second])
  t.same(order, ['first', 'waits for me', 'first ends', 'second'])
  await writeFile(path, `999999999 ${hostname()} 1`)
  t.equal(await withInstallLock(path, clock, async () => 'taken'), 'taken')
  await writeFile(path, `${process.pid} ${hostname()} 1`)
  t.equal(await withInstallLock(path, clock, async () => 'taken'), 'taken', 'the id was used again')
  await t.rejects(readFile(path), { code: 'ENOENT' })
})

t.test('Space: what cannot fit is refused before it starts, and a disk that fills up is named', async t => {
  const root = t.testdir()
  const cache = new EngineCache(clock, root)
  await t.rejects(cache.provision(smallEngine(installs, 1e18), quiet), {
    code: 'ERR_ENGINE_DISK_FULL',
    message: /small engine needs \d+ MB in .*, where \d+ MB are free/,
  })
  const fills = smallEngine(async () => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  })
  await t.rejects(cache.provision(fills, quiet), {
    code: 'ERR_ENGINE_DISK_FULL',
    message: /became full while/,
  })
  t.same(await filesIn(root), [])
})

t.test('Download: follows redirects; a broken one, a refusal and a wrong digest are told apart', async t => {
  const url = await serve(t, (request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: '/file' }).end()
    else if (request.url === '/file') response.end('content')
    else if (request.url === '/cut') {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.destroy())
    } else if (request.url === '/round') response.writeHead(302, { location: '/round' }).end()
    else response.writeHead(404).end()
  })
  const path = join(t.testdir(), 'file')
  let received = 0
  await download(`${url}/moved`, path, { received: bytes => (received += bytes) })
  t.equal(await readFile(path, 'utf8'), 'content')
  t.equal(received, 7)
  const refusal = (cause: RegExp) => ({ code: 'ERR_ENGINE_DOWNLOAD', cause: { message: cause } })
  await t.rejects(download(`${url}/none`, path), refusal(/answered 404/))
  await t.rejects(download(`${url}/round`, path), refusal(/more than 5 redirects/))
  await t.rejects(download(`${url}/cut`, path), {
    code: 'ERR_ENGINE_DOWNLOAD',
    message: /the connection broke/,
  })
})

t.test('Sources: each that failed is named with its reason, and leaves nothing to the next', async t => {
  const into = t.testdir()
  const source = (name: string) => ({ name, downloadBytes: 1, diskBytes: 1 })
  const failing = {
    source: source('first'),
    fetch: async () => {
      await installs(into)
      throw new Error('no route')
    },
  }
  const unusable = {
    source: { ...source('second'), unusable: 'no go on PATH' },
    fetch: async () => undefined,
  }
  await t.rejects(trySources('small engine', into, [failing, unusable], quiet), {
    code: 'ERR_ENGINE_INSTALL',
    message: /first: no route\n {2}second: no go on PATH\n/,
  })
  t.same(await readdir(into), [])
  const works = { source: source('third'), fetch: async () => void (await installs(into)) }
  t.equal(await trySources('small engine', into, [failing, works], quiet), 'third')
})

t.test(
  'HDFS: jars of a repository are compared with their digests; a wrong one is refused at once',
  { skip: hdfs.skip },
  async t => {
    // Java and what Hadoop calls, but no mvn
    const bin = t.testdir({ cache: {} })
    for (const name of ['java', 'javac', 'jar', 'bash', 'df', 'id'])
      await symlink((await findProgram(name)) ?? '', join(bin, name))
    setVariable(t, 'PATH', bin)
    const url = await serve(t, (request, response) => {
      const name = (request.url ?? '').split('/').pop() ?? ''
      void readFile(join(hdfs.path, 'lib', name)).then(
        content => response.end(content),
        () => response.writeHead(404).end(),
      )
    })
    setVariable(t, 'MAVEN_REPO_URL', `${url}/`)
    const cache = new EngineCache(clock, join(bin, 'cache'))
    let doing = ''
    const report = (progress: { doing: string }): void => void (doing = progress.doing)
    const cached = await cache.provision(new HdfsEngine(cache), { report })
    t.equal(doing, 'trying it')
    t.equal(cached.source, url)

    const wrong = await serve(t, (_request, response) => response.end('not a jar'))
    process.env['MAVEN_REPO_URL'] = wrong
    await cache.remove('hdfs')
    await t.rejects(cache.provision(new HdfsEngine(cache), quiet), {
      code: 'ERR_ENGINE_DIGEST',
      message: /\.jar has SHA-256 [0-9a-f]{64}, where [0-9a-f]{64} is expected/,
    })
    t.same(await filesIn(cache.root), [])
  },
)

t.test(
  'troupe provision: two at once with --from install once; again, it is there',
  { skip: nats.skip },
  async t => {
    const root = t.testdir()
    const env = { TROUPE_CACHE: root, PATH: '/nonexistent', NATS_SERVER_BIN: '' }
    const args = ['provision', 'nats', '--from', nats.path]
    const runs = await Promise.all([troupe(args, env), troupe(args, env)])
    for (const { code, err } of runs) t.match({ code, err }, { code: 0, err: '' })
    const files = await filesIn(root)
    t.same(files.filter(name => name.endsWith('nats-server')).length, 1)
    t.equal(
      await sha256Of(join(root, files.find(name => name.endsWith('nats-server')) ?? '')),
      await sha256Of(nats.path),
    )
    t.same(await readdir(join(root, 'staging')), [])
    t.match(await troupe(['provision', 'nats'], env), { code: 0, out: /nats-server: 2\.\S+ is there/ })
    t.match(await troupe(['provision', '--list'], env), {
      code: 0,
      out: /nats: nats-server\n {2}found: 2.*cache/,
    })
    t.match(await troupe(['provision', 'nats', '--remove'], env), { code: 0, out: /removed from/ })
    t.match(await troupe(['provision', 'nats', '--remove'], env), { code: 0, out: /nothing was installed/ })
  },
)

t.test('troupe provision: with nothing to build by, one clear error each', async t => {
  const root = t.testdir({ 'not-one.txt': 'text' })
  const env = { TROUPE_CACHE: root, PATH: '/nonexistent', JAVA_HOME: '', NATS_SERVER_BIN: '' }
  const closed = { ...env, NATS_RELEASES_URL: 'http://127.0.0.1:1' }
  const natsRun = await troupe(['provision', 'nats'], closed)
  t.match(natsRun, {
    code: 1,
    err: /release .*ECONNREFUSED.*\n.*Go module .*: no go on PATH\n.*Debian package: no apt-get on PATH/,
  })
  t.match(await troupe(['provision', 'hdfs'], env), {
    code: 1,
    err: /no java in JAVA_HOME or PATH; install a JDK/,
  })
  t.match(await troupe(['provision', 'nats', '--from', 'nowhere'], env), {
    code: 1,
    err: /nowhere cannot be read/,
  })
  t.match(await troupe(['provision', 'nets'], env), { code: 2, err: /no engine is named nets/ })
  t.match(await troupe(['provision', '--from', 'x'], env), { code: 2, err: /needs the name of one engine/ })
  const doctor = await troupe(['doctor', '--json', '--nats', 'nats://127.0.0.1:1'], env)
  t.equal(doctor.code, 1)
  const records = doctor.out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  t.match(
    records.find(({ section, name }) => section === 'nats-server' && name === 'installed'),
    { ok: false, remedy: 'troupe provision nats' },
  )
  t.match(
    records.find(({ name }) => name === 'round trip'),
    { ok: false, detail: /ECONNREFUSED/ },
  )
  t.same(
    (await filesIn(root)).filter(name => name !== 'not-one.txt'),
    [],
  )
})
