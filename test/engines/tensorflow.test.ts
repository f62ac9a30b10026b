import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { SystemClock } from '../../src/determinism/index.js'
import { EngineCache, TensorFlowEngine } from '../../src/engines/index.js'
import { HEADERS, LIBRARIES } from '../../src/engines/tensorflow/release.js'
import { ZipArchive } from '../../src/engines/tensorflow/zip-archive.js'
import { needTensorFlow } from '../helpers/engines.js'

const { path, skip } = await needTensorFlow()

/** A zip archive of files that are stored as they are. */
function zip(files: Record<string, string>): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, text] of Object.entries(files)) {
    const [nameBytes, data] = [Buffer.from(name), Buffer.from(text)]
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt32LE(data.length, 18)
    local.writeUInt32LE(data.length, 22)
    local.writeUInt16LE(nameBytes.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt32LE(data.length, 20)
    entry.writeUInt32LE(data.length, 24)
    entry.writeUInt16LE(nameBytes.length, 28)
    entry.writeUInt32LE(offset, 42)
    parts.push(local, nameBytes, data)
    directory.push(entry, nameBytes)
    offset += local.length + nameBytes.length + data.length
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt32LE(size, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, ...directory, end])
}

/** Installs from a file, into a cache of the test's own. */
async function install(t: Test, wheel: Buffer): Promise<{ error: unknown; left: string[] }> {
  const root = t.testdir({ 'a.whl': wheel })
  const cache = new EngineCache(new SystemClock(), join(root, 'cache'))
  const from = join(root, 'a.whl')
  const error: unknown = await cache
    .provision(new TensorFlowEngine(cache), { from, report: () => undefined })
    .catch((thrown: unknown) => thrown)
  return {
    error,
    left: [...readdirSync(join(root, 'cache', 'staging')), ...(await cache.list()).map(String)],
  }
}

t.test('from a file: what is no wheel, or another, is refused and nothing is left', async t => {
  const whole = zip({ 'tensorflow/version': '1' })
  const cut = await install(t, whole.subarray(0, whole.length - 30))
  t.match(cut.error, { code: 'ERR_ENGINE_INSTALL', message: /a\.whl is no whole zip archive/ })
  t.same(cut.left, [])
  const other = await install(t, whole)
  t.match(other.error, {
    code: 'ERR_ENGINE_INSTALL',
    message: /a\.whl is not the wheel of TensorFlow: fetch it with pip download tensorflow-cpu==2\.21\.0 /,
  })
  t.same(other.left, [])
})

t.test('from a file: libraries of another build are refused by their digest', async t => {
  const libraries = Object.keys(LIBRARIES).map(name => [`tensorflow/${name}`, 'another build'])
  const headers = HEADERS.map(name => [`tensorflow/include/${name}`, ''])
  const { error, left } = await install(
    t,
    zip(Object.fromEntries([...libraries, ...headers]) as Record<string, string>),
  )
  const got = createHash('sha256').update('another build').digest('hex')
  t.match(error, { code: 'ERR_ENGINE_DIGEST', data: { got } })
  t.same(left, [])
})

t.test('a file of an archive comes out byte by byte', async t => {
  const root = t.testdir({ 'a.zip': zip({ 'a/b.txt': 'first', 'c.txt': 'second' }) })
  const archive = await ZipArchive.open(join(root, 'a.zip'))
  t.same([archive.has('a/b.txt'), archive.has('b.txt')], [true, false])
  const hash = await archive.extract('c.txt', join(root, 'out/c'))
  t.equal(hash.digest('hex'), createHash('sha256').update('second').digest('hex'))
  await t.rejects(archive.extract('d', join(root, 'd')), { code: 'ERR_ENGINE_INSTALL', message: /has no d/ })
})

t.test('without compiler and Python: one line says what is missing and how to get it', async t => {
  const { PATH, CXX } = process.env
  t.teardown(() => {
    process.env['PATH'] = PATH
    if (CXX !== undefined) process.env['CXX'] = CXX
  })
  process.env['PATH'] = t.testdir({})
  delete process.env['CXX']
  const cache = new EngineCache(new SystemClock(), t.testdir({}))
  const engine = new TensorFlowEngine(cache)
  const [source] = await engine.sources()
  t.match(
    source!.unusable,
    /^no Python is installed; no C\+\+ compiler is installed, .* apt-get install g\+\+/,
  )
  await t.rejects(cache.provision(engine, { report: () => undefined }), {
    code: 'ERR_ENGINE_INSTALL',
    message: /^no C\+\+ compiler is installed/,
  })
})

t.test('what was provisioned is whole: it loads in a process and in a thread', { skip }, async t => {
  const engine = new TensorFlowEngine()
  t.match(await engine.find(), { path })
  t.same(
    (await engine.examine({})).map(({ name, ok }) => [name, ok]),
    [
      ['installed', true],
      ['loads in a process', true],
      ['loads in a thread', true],
    ],
  )
})

t.test('an addon whose libraries are missing or damaged is broken', { skip }, async t => {
  const dir = t.testdir({ tensorflow: {} })
  const libraries = join(dir, 'tensorflow')
  const addon = join(libraries, 'tfjs_binding.node')
  cpSync(path, addon)
  const engine = new TensorFlowEngine()
  await t.rejects(engine.verify(dir), {
    code: 'ERR_ENGINE_BROKEN',
    cause: { message: /libtensorflow_cc\.so\.2: cannot open shared object file/ },
  })
  for (const name of Object.keys(LIBRARIES)) symlinkSync(join(dirname(path), name), join(libraries, name))
  await engine.verify(dir)
  rmSync(join(libraries, 'libtensorflow_cc.so.2'))
  writeFileSync(join(libraries, 'libtensorflow_cc.so.2'), '')
  await t.rejects(engine.verify(dir), { code: 'ERR_ENGINE_BROKEN' })
})

t.test('an engine that is not there says which command installs it', async t => {
  const engine = new TensorFlowEngine(new EngineCache(new SystemClock(), t.testdir({})))
  t.equal(await engine.find(), undefined)
  t.match(await engine.examine({}), [{ name: 'installed', ok: false, remedy: 'troupe provision tensorflow' }])
})

t.test('the threads that had it may end, and the process goes on', { skip }, async t => {
  const program = `
    const { Worker } = require('node:worker_threads')
    const thread = new Worker(${JSON.stringify(`require(${JSON.stringify(path)})`)}, { eval: true })
    thread.on('exit', code => setTimeout(() => console.log('thread', code), 300))
  `
  // Without NODE_OPTIONS: loaders of the test's own process do not belong there.
  const { NODE_OPTIONS: _loaders, ...env } = process.env
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { env })
  t.equal(stdout, 'thread 0\n')
})
