// How fast files come into HDFS and out of it, against curl on the same servers; and what a commit costs.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { CheckpointStore } from '../../src/checkpoint/index.js'
import { SystemClock } from '../../src/determinism/index.js'
import { EngineCache, HdfsEngine, TrialHdfs } from '../../src/engines/index.js'
import { HdfsPlaces, WebHdfs } from '../../src/hdfs/index.js'
import { FACTS } from '../helpers/checkpoint-sample.js'
import { defineBench } from './harness.js'

const run = promisify(execFile)
const FILE_BYTES = 64 * 1024 * 1024
const MB = 1e6
const PARALLEL = 4
/** As long as what is measured is moved in one block. */
const BLOCK_BYTES = 128 * 1024 * 1024
const CHUNK_BYTES = 256 * 1024

export default defineBench('hdfs', async b => {
  const engine = await new HdfsEngine(new EngineCache(new SystemClock())).find()
  if (engine === undefined) throw new Error('HDFS is missing: npx troupe provision hdfs')
  const trial = await TrialHdfs.start(engine.path, { settings: { 'dfs.blocksize': String(BLOCK_BYTES) } })
  b.after(() => trial.stop())
  const folder = await mkdtemp(join(tmpdir(), 'troupe-bench-'))
  b.after(() => rm(folder, { recursive: true, force: true }))
  const bytes = new Uint8Array(FILE_BYTES).map((_, index) => index * 31)
  const local = join(folder, 'shard')
  await writeFile(local, bytes)
  const url = trial.url.replace('http', 'webhdfs')
  // As curl writes: acknowledged by the DataNode, not on its disk.
  const hdfs = WebHdfs.open(url, { user: 'root', syncBlocks: false, replayMaxBytes: 0 })
  await hdfs.makeDirectory('/bench')
  b.after(() => hdfs.close())
  let files = 0

  const put = async (): Promise<void> => {
    const path = `/bench/${files++}`
    const writer = await hdfs.create(path)
    for (let at = 0; at < FILE_BYTES; at += CHUNK_BYTES)
      await writer.write(bytes.subarray(at, at + CHUNK_BYTES))
    await writer.close()
    await hdfs.remove(path)
  }
  const curlPut = async (): Promise<void> => {
    const path = `/bench/${files++}`
    const target = `${trial.url}/webhdfs/v1${path}?op=CREATE&user.name=root`
    await run('curl', ['-sfL', '-T', local, '-H', 'Content-Type: application/octet-stream', target])
    await hdfs.remove(path)
  }
  const SHARD = '/bench/shard'
  await hdfs.writeFile(SHARD, bytes)
  const get = async (): Promise<void> => {
    let got = 0
    for await (const piece of hdfs.read(SHARD)) got += piece.byteLength
    if (got !== FILE_BYTES) throw new Error(`got ${got} bytes of ${FILE_BYTES}`)
  }
  const curlGet = async (): Promise<void> => {
    await run('curl', ['-sfL', '-o', '/dev/null', `${trial.url}/webhdfs/v1${SHARD}?op=OPEN&user.name=root`])
  }

  for (const [name, ours, theirs] of [
    ['put', put, curlPut],
    ['get', get, curlGet],
  ] as const) {
    for (const lanes of [1, PARALLEL]) {
      const measure = (action: () => Promise<void>) => async (): Promise<number> => {
        const begun = performance.now()
        await Promise.all(Array.from({ length: lanes }, action))
        return (lanes * FILE_BYTES) / MB / ((performance.now() - begun) / 1000)
      }
      b.arm({ case: `${name}-${lanes}`, unit: 'MB/s', better: 'higher', run: measure(ours) })
      b.arm({ case: `${name}-${lanes}-curl`, unit: 'MB/s', better: 'higher', run: measure(theirs) })
      b.bar({ case: `${name}-${lanes}`, against: `${name}-${lanes}-curl`, atLeast: 0.9 })
    }
  }

  const store = new CheckpointStore(new HdfsPlaces(undefined, { user: 'root' }).open(`${url}/bench/job`))
  let step = 0
  b.arm({
    case: 'commit',
    unit: 'ms',
    better: 'lower',
    run: async () => {
      const attempt = await store.beginAttempt(1, ++step)
      await attempt.writeShard(0, 1, [])
      await attempt.writeState(new Uint8Array(1))
      const begun = performance.now()
      await attempt.commit(FACTS)
      return performance.now() - begun
    },
  })
})
