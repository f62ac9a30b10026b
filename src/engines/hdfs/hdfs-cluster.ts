import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { TroupeError } from '../../errors.js'
import { freePorts } from '../free-ports.js'
import { HdfsMember } from './hdfs-member.js'

/** The name of the pair, as clients of Hadoop's own would have it in their settings. */
const NAME_SERVICE = 'trial'

export interface HdfsClusterOptions {
  /** @default 1 */
  readonly datanodes?: number
  /** Two NameNodes, the first of them active. @default false */
  readonly pair?: boolean
  /** Hadoop's own settings, such as `dfs.replication`. */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * An HDFS with a Java process for each NameNode and DataNode, so that each can be killed alone. A pair has no ZooKeeper:
 * who uses it says which NameNode is active. Shared edits are in a directory of this machine.
 */
export class HdfsCluster implements AsyncDisposable {
  readonly dir: string
  readonly nameNodes: readonly HdfsMember[]
  readonly dataNodes: readonly HdfsMember[]

  private constructor(dir: string, nameNodes: readonly HdfsMember[], dataNodes: readonly HdfsMember[]) {
    this.dir = dir
    this.nameNodes = nameNodes
    this.dataNodes = dataNodes
  }

  /**
   * Resolves when it can be written to.
   *
   * @param engine the installed engine's directory
   * @throws ERR_ENGINE_START with the end of a log
   */
  static async start(engine: string, options: HdfsClusterOptions = {}): Promise<HdfsCluster> {
    const { datanodes = 1, pair = false, settings = {} } = options
    const dir = await mkdtemp(join(tmpdir(), 'troupe-hdfs-'))
    const count = pair ? 2 : 1
    const ports = await freePorts(2 * count)
    const addresses = Array.from({ length: count }, (_, index) => ({
      rpc: `127.0.0.1:${ports[2 * index] ?? 0}`,
      http: `127.0.0.1:${ports[2 * index + 1] ?? 0}`,
    }))
    const shared = { ...(pair ? pairSettings(dir, addresses) : soleSettings(addresses)), ...settings }
    const nameNodes = addresses.map(({ http }, index) => {
      const own = pair ? { ...shared, 'dfs.ha.namenode.id': `nn${index}` } : shared
      return new HdfsMember(`NameNode ${index}`, engine, dir, 'namenode', own, `http://${http}`)
    })
    const dataNodes = Array.from(
      { length: datanodes },
      (_, index) => new HdfsMember(`DataNode ${index}`, engine, dir, `datanode=${index}`, shared),
    )
    const cluster = new HdfsCluster(dir, nameNodes, dataNodes)
    try {
      await cluster.#begin(pair)
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  async #begin(pair: boolean): Promise<void> {
    const [first, second] = this.nameNodes
    if (pair) await mkdir(join(this.dir, 'shared'))
    await first?.start()
    if (second !== undefined) {
      await cp(join(this.dir, 'name0'), join(this.dir, 'name1'), {
        recursive: true,
        filter: path => basename(path) !== 'in_use.lock',
      })
      await second.start()
      await first?.command('active')
    }
    await Promise.all(this.dataNodes.map(node => node.start()))
    for (const node of this.nameNodes) await node.command(`await ${this.dataNodes.length}`)
  }

  /** For WebHDFS, one a NameNode. They stay when a NameNode is started again. */
  get urls(): readonly string[] {
    return this.nameNodes.map(node => node.url)
  }

  /** Makes a NameNode of a pair the active one; the other must be dead, or standby. */
  async activate(index: number): Promise<void> {
    await this.#nameNode(index).command('active')
  }

  async standBy(index: number): Promise<void> {
    await this.#nameNode(index).command('standby')
  }

  /** Resolves when the NameNode is out of safe mode, and so many DataNodes have reported to it. */
  async ready(index: number, datanodes: number): Promise<void> {
    await this.#nameNode(index).command(`await ${datanodes}`)
  }

  #nameNode(index: number): HdfsMember {
    const node = this.nameNodes[index]
    if (node !== undefined) return node
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `there is no NameNode ${index}; there are ${this.nameNodes.length}`,
    )
  }

  logTail(lines?: number): string {
    return [...this.nameNodes, ...this.dataNodes]
      .map(node => `${node.title}:\n${node.logTail(lines)}`)
      .join('\n')
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nameNodes, ...this.dataNodes].map(node => node.stop()))
    await rm(this.dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

interface Address {
  readonly rpc: string
  readonly http: string
}

function soleSettings([address]: readonly Address[]): Record<string, string> {
  return {
    'fs.defaultFS': `hdfs://${address?.rpc ?? ''}`,
    'dfs.namenode.rpc-address': address?.rpc ?? '',
    'dfs.namenode.http-address': address?.http ?? '',
  }
}

function pairSettings(dir: string, addresses: readonly Address[]): Record<string, string> {
  const settings: Record<string, string> = {
    'fs.defaultFS': `hdfs://${NAME_SERVICE}`,
    'dfs.nameservices': NAME_SERVICE,
    [`dfs.ha.namenodes.${NAME_SERVICE}`]: addresses.map((_, index) => `nn${index}`).join(','),
    'dfs.namenode.shared.edits.dir': `file://${dir}/shared`,
    [`dfs.client.failover.proxy.provider.${NAME_SERVICE}`]:
      'org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider',
  }
  for (const [index, { rpc, http }] of addresses.entries()) {
    const id = `${NAME_SERVICE}.nn${index}`
    settings[`dfs.namenode.rpc-address.${id}`] = rpc
    settings[`dfs.namenode.http-address.${id}`] = http
    settings[`dfs.namenode.name.dir.${id}`] = `file://${dir}/name${index}`
  }
  return settings
}
