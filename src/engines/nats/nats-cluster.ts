import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../determinism/index.js'
import { freePorts } from '../free-ports.js'
import type { NatsConfig } from './nats-config.js'
import { NatsServer } from './nats-server.js'

export interface NatsClusterOptions {
  readonly clock: Clock
  /** @default 3 */
  readonly servers?: number
  /** For every server of it. */
  readonly config?: Omit<NatsConfig, 'name' | 'cluster'>
}

/** Several nats-servers on the loopback interface that know each other. */
export class NatsCluster implements AsyncDisposable {
  readonly dir: string
  readonly servers: readonly NatsServer[]

  private constructor(dir: string, servers: readonly NatsServer[]) {
    this.dir = dir
    this.servers = servers
  }

  /** Resolves when each server is ready; with JetStream, when they have met. */
  static async start(program: string, options: NatsClusterOptions): Promise<NatsCluster> {
    const { clock, config = {}, servers: count = 3 } = options
    const dir = await mkdtemp(join(tmpdir(), 'troupe-nats-'))
    const ports = await freePorts(count)
    const prepared = ports.map((port, index) =>
      NatsServer.prepare(program, {
        clock,
        dir: join(dir, `n${index}`),
        config: { ...config, name: `n${index}`, cluster: { name: 'troupe', port, ports } },
      }),
    )
    const cluster = new NatsCluster(dir, await Promise.all(prepared))
    try {
      // with JetStream none is healthy before most are there
      await Promise.all(cluster.servers.map(server => server.start()))
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  get urls(): readonly string[] {
    return this.servers.map(server => server.url)
  }

  logTail(lines?: number): string {
    return this.servers.map((server, index) => `n${index}:\n${server.logTail(lines)}`).join('\n')
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map(server => server.stop()))
    await rm(this.dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
