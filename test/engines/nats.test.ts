import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { SystemClock } from '../../src/determinism/index.js'
import { EngineCache, makeCertificates, NatsEngine, NatsServer } from '../../src/engines/index.js'
import { natsRoundTrip } from '../../src/engines/nats/round-trip.js'
import { needNats, startNats, startNatsCluster } from '../helpers/engines.js'

const { skip, path } = await needNats()
const clock = new SystemClock()

/** What the server tells of itself. */
async function told(server: NatsServer, page: string): Promise<Record<string, unknown>> {
  return (await fetch(`${server.monitoringUrl}/${page}`)).json() as Promise<Record<string, unknown>>
}

t.test(
  'nats-server: killed or stopped, it comes back on the same ports with its files',
  { skip },
  async t => {
    const server = await startNats(t, { config: { jetstream: true, name: 'alone' } })
    const { url, monitoringUrl, pid } = server
    t.match(await natsRoundTrip(url), /^nats-server 2\.\d+\.\d+ at 127\.0\.0\.1:\d+ sent back a message$/)
    await server.kill()
    t.equal(server.pid, undefined)
    await t.rejects(natsRoundTrip(url), { code: 'ERR_ENGINE_ANSWER' })
    await server.start()
    t.match({ url: server.url, monitoringUrl: server.monitoringUrl }, { url, monitoringUrl })
    t.not(server.pid, pid)
    await server.shutDown()
    await server.start()
    t.match(await natsRoundTrip(url), /sent back a message/)
    t.match(await told(server, 'varz'), { server_name: 'alone', max_payload: 8 * 1024 * 1024 })
    t.match(await told(server, 'jsz'), { config: { store_dir: join(server.dir, 'jetstream', 'jetstream') } })
  },
)

t.test(
  'nats-server: takes a configuration as it is; a wrong one is shown with the log',
  { skip },
  async t => {
    const server = await startNats(t, {
      config: 'max_payload: 1MB\nauthorization { user: ann, password: "geh/eim" }\n',
    })
    t.match(await told(server, 'varz'), { max_payload: 1024 * 1024 })
    const place = new URL(server.url).host
    t.match(await natsRoundTrip(`nats://ann:geh%2Feim@${place}`), /sent back/)
    const refused = await natsRoundTrip(`nats://ann:wrong@${place}`).catch((error: unknown) => error as Error)
    t.match(refused, { code: 'ERR_ENGINE_ANSWER', cause: { message: /Authorization Violation/ } })
    t.notMatch((refused as Error).message, /wrong/, 'no secret in the message')
    await t.rejects(NatsServer.start(path, { clock, config: 'max_paylod: 5\n' }), {
      code: 'ERR_ENGINE_START',
      message: /unknown field "max_paylod"/,
    })
  },
)

t.test('nats-server: three with TLS meet, and go on when one is killed', { skip }, async t => {
  const certificates = await makeCertificates(t.testdir())
  const cluster = await startNatsCluster(t, { config: { jetstream: true, tls: certificates } })
  const [ca, cert, key] = await Promise.all(
    [certificates.ca, certificates.cert, certificates.key].map(file => readFile(file, 'utf8')),
  )
  const trust = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  for (const url of cluster.urls) t.match(await natsRoundTrip(url, trust), /sent back a message/)
  const [first, second] = cluster.servers
  if (first === undefined || second === undefined) throw new Error('no cluster')
  t.match(await told(first, 'routez'), { num_routes: Number })
  await t.rejects(natsRoundTrip(first.url, ca === undefined ? {} : { ca }), { code: 'ERR_ENGINE_ANSWER' })
  const { url } = first
  await first.kill()
  t.match(await natsRoundTrip(second.url, trust), /sent back a message/)
  await first.start()
  t.equal(first.url, url)
  t.match(await natsRoundTrip(url, trust), /sent back a message/)
})

t.test('nats-server: one that is too old is refused, with how to get a newer', async t => {
  const dir = t.testdir({ cache: {}, 'nats-server': '#!/bin/sh\necho "nats-server: v2.9.10"\n' })
  const old = join(dir, 'nats-server')
  await chmod(old, 0o755)
  const engine = new NatsEngine(new EngineCache(clock, join(dir, 'cache')), clock)
  t.teardown(() => delete process.env['NATS_SERVER_BIN'])
  process.env['NATS_SERVER_BIN'] = old
  await t.rejects(engine.find(), {
    code: 'ERR_ENGINE_VERSION',
    message: /2\.9\.10; 2\.10 is the oldest that works.*troupe provision nats/,
  })
  const [installed] = await engine.examine({})
  t.match(installed, { ok: false, remedy: 'troupe provision nats' })
  process.env['NATS_SERVER_BIN'] = join(old, 'nothing')
  await t.rejects(engine.find(), { code: 'ERR_ENGINE_MISSING', message: /NATS_SERVER_BIN names/ })
})
