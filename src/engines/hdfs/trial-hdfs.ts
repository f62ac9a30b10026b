import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HdfsProcess, type HdfsState } from './hdfs-process.js'
import { settingArguments } from './setting-arguments.js'

export interface TrialHdfsOptions {
  /** @default 1 */
  readonly datanodes?: number
  /** Files are kept here and found again; left out, they live in a temporary directory as long as it runs. */
  readonly dir?: string
  /** Hadoop's own settings, such as `dfs.replication`. */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * NameNode and DataNodes in one Java process on free ports of the loopback interface: an HDFS to try things with, ready
 * in about a second and a half. To kill one of them alone, see {@link HdfsCluster}.
 */
export class TrialHdfs implements AsyncDisposable {
  readonly dir: string
  /** For WebHDFS: `http://127.0.0.1:PORT`. Stays when the NameNode is started again. */
  readonly url: string
  /** For Hadoop's own clients: `hdfs://127.0.0.1:PORT`. */
  readonly rpcUrl: string
  readonly #process: HdfsProcess
  readonly #temporary: boolean

  private constructor(process: HdfsProcess, state: HdfsState, dir: string, temporary: boolean) {
    this.#process = process
    this.dir = dir
    this.#temporary = temporary
    this.url = `http://127.0.0.1:${state.http ?? 0}`
    this.rpcUrl = `hdfs://127.0.0.1:${state.rpc ?? 0}`
  }

  /**
   * Resolves when it can be written to.
   *
   * @param engine the installed engine's directory
   * @throws ERR_ENGINE_START with the end of its log
   */
  static async start(engine: string, options: TrialHdfsOptions = {}): Promise<TrialHdfs> {
    const { datanodes = 1, settings = {} } = options
    const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'troupe-hdfs-')))
    await mkdir(dir, { recursive: true })
    const temporary = options.dir === undefined
    const nodes = Array.from({ length: datanodes }, (_, index) => `datanode=${index}`)
    const args = [dir, 'namenode', ...nodes, ...settingArguments(settings)]
    try {
      const [process, state] = await HdfsProcess.start('HDFS', engine, args, join(dir, 'hdfs.log'))
      return new TrialHdfs(process, state, dir, temporary)
    } catch (error) {
      if (temporary) await rm(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** The Java process. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** The last lines of its log; the whole log is `hdfs.log` in its directory. */
  logTail(lines?: number): string {
    return this.#process.log.tail(lines)
  }

  async status(): Promise<HdfsState> {
    return this.#process.command('status')
  }

  /** In good order; {@link startNameNode} starts it again on the same ports. */
  async stopNameNode(): Promise<void> {
    await this.#process.command('stop-namenode')
  }

  /** Resolves when every running DataNode has reported and safe mode is over. */
  async startNameNode(): Promise<void> {
    await this.#process.command('start-namenode')
  }

  async stopDataNode(index: number): Promise<void> {
    await this.#process.command(`stop-datanode ${index}`)
  }

  async startDataNode(index: number): Promise<void> {
    await this.#process.command(`start-datanode ${index}`)
  }

  async enterSafeMode(): Promise<void> {
    await this.#process.command('safemode enter')
  }

  async leaveSafeMode(): Promise<void> {
    await this.#process.command('safemode leave')
  }

  /** Resolves when its process is gone, and its files too if they were temporary. */
  async stop(): Promise<void> {
    await this.#process.stop()
    if (this.#temporary) await rm(this.dir, { recursive: true, force: true })
  }

  /** Resolves when the process has ended, by itself or not. */
  async ended(): Promise<void> {
    return this.#process.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
