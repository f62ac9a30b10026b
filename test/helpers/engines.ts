import type { Test } from 'tap'
import { SystemClock } from '../../src/determinism/index.js'
import {
  EngineCache,
  HdfsCluster,
  HdfsEngine,
  NatsCluster,
  NatsEngine,
  NatsServer,
  TensorFlowEngine,
  TrialHdfs,
  type Engine,
  type HdfsClusterOptions,
  type NatsClusterOptions,
  type NatsServerOptions,
  type TrialHdfsOptions,
} from '../../src/engines/index.js'

const clock = new SystemClock()
const cache = new EngineCache(clock)

/** What a test file knows of an engine: where it is, or why its tests are skipped. */
export interface NeededEngine {
  readonly path: string
  /** For tap's `skip`: false, or the command that would enable the test. */
  readonly skip: string | false
}

/**
 * Looks for an engine that tests need. With `CI=true` a missing one is a failure; elsewhere the tests are skipped, and say
 * by which command they would run.
 */
export async function needEngine(engine: Engine): Promise<NeededEngine> {
  const found = await engine.find()
  if (found !== undefined) return { path: found.path, skip: false }
  const command = `npx troupe provision ${engine.name}`
  if (process.env['CI'] === 'true') throw new Error(`${engine.title} is missing: ${command}`)
  return { path: '', skip: `${engine.title} is missing: ${command}` }
}

export async function needTensorFlow(): Promise<NeededEngine> {
  return needEngine(new TensorFlowEngine(cache))
}

export async function needHdfs(): Promise<NeededEngine> {
  return needEngine(new HdfsEngine(cache))
}

/** A trial HDFS of this test's own, gone when it ends; its log is shown if the test failed. */
export async function startHdfs(t: Test, options: TrialHdfsOptions = {}): Promise<TrialHdfs> {
  const { path } = await needHdfs()
  const hdfs = await TrialHdfs.start(path, options)
  t.teardown(async () => {
    if (!t.passing()) t.comment(`the log of HDFS ends with:\n${hdfs.logTail(60)}`)
    await hdfs.stop()
  })
  return hdfs
}

/** An HDFS with a process for each of its parts, for this test alone. */
export async function startHdfsCluster(t: Test, options: HdfsClusterOptions = {}): Promise<HdfsCluster> {
  const { path } = await needHdfs()
  const cluster = await HdfsCluster.start(path, options)
  t.teardown(async () => {
    if (!t.passing()) t.comment(`the logs of HDFS end with:\n${cluster.logTail(40)}`)
    await cluster.stop()
  })
  return cluster
}

export async function needNats(): Promise<NeededEngine> {
  return needEngine(new NatsEngine(cache, clock))
}

/** A nats-server of this test's own, gone when it ends; its log is shown if the test failed. */
export async function startNats(t: Test, options: Partial<NatsServerOptions> = {}): Promise<NatsServer> {
  const { path } = await needNats()
  const server = await NatsServer.start(path, { clock, ...options })
  t.teardown(async () => {
    if (!t.passing()) t.comment(`the log of nats-server ends with:\n${server.logTail(60)}`)
    await server.stop()
  })
  return server
}

/** Three nats-servers that know each other, for this test alone. */
export async function startNatsCluster(
  t: Test,
  options: Partial<NatsClusterOptions> = {},
): Promise<NatsCluster> {
  const { path } = await needNats()
  const cluster = await NatsCluster.start(path, { clock, ...options })
  t.teardown(async () => {
    if (!t.passing()) t.comment(`the logs of the cluster end with:\n${cluster.logTail(60)}`)
    await cluster.stop()
  })
  return cluster
}
