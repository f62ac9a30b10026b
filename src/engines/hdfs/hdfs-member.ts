import { join } from 'node:path'
import { TroupeError } from '../../errors.js'
import { HdfsProcess, type HdfsState } from './hdfs-process.js'
import { settingArguments } from './setting-arguments.js'

/** One NameNode or DataNode in a process of its own: started, killed, and started again on the same ports. */
export class HdfsMember {
  readonly title: string
  /** WebHDFS of a NameNode; empty for a DataNode. */
  readonly url: string
  readonly #engine: string
  readonly #dir: string
  readonly #role: string
  readonly #settings: Readonly<Record<string, string>>
  #ports: Readonly<Record<string, string>> = {}
  #process: HdfsProcess | undefined
  #lastLog = ''

  constructor(
    title: string,
    engine: string,
    dir: string,
    role: string,
    settings: Readonly<Record<string, string>>,
    url = '',
  ) {
    this.title = title
    this.url = url
    this.#engine = engine
    this.#dir = dir
    this.#role = role
    this.#settings = settings
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** @throws ERR_ENGINE_START with the end of its log */
  async start(): Promise<void> {
    const args = [this.#dir, this.#role, ...settingArguments({ ...this.#settings, ...this.#ports })]
    const log = join(this.#dir, `${this.title.replace(' ', '-').toLowerCase()}.log`)
    const [process, state] = await HdfsProcess.start(this.title, this.#engine, args, log)
    this.#process = process
    const [node] = state.datanodes
    if (node === undefined) return
    this.#ports = {
      'dfs.datanode.address': node.address,
      'dfs.datanode.http.address': node.http,
      'dfs.datanode.ipc.address': node.ipc,
    }
  }

  /** @throws ERR_CLOSED if it does not run; ERR_ENGINE_START with the end of its log */
  async command(line: string): Promise<HdfsState> {
    if (this.#process === undefined) throw new TroupeError('ERR_CLOSED', `${this.title} does not run`)
    return this.#process.command(line)
  }

  async status(): Promise<HdfsState> {
    return this.command('status')
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end(process => process.kill())
  }

  /** At once too, as its stdin ends: it has nothing to tidy up that it would miss. */
  async stop(): Promise<void> {
    await this.#end(process => process.stop())
  }

  async #end(how: (process: HdfsProcess) => Promise<void>): Promise<void> {
    const process = this.#process
    this.#process = undefined
    if (process === undefined) return
    await how(process)
    this.#lastLog = process.log.tail(100)
  }

  /** Stops it in its tracks, as a machine that hangs, until {@link resume}. */
  suspend(): void {
    this.#process?.suspend()
  }

  resume(): void {
    this.#process?.resume()
  }

  /** The last lines of its log, also when it is dead. */
  logTail(lines?: number): string {
    return this.#process?.log.tail(lines) ?? this.#lastLog
  }
}
