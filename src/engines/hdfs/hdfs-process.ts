import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { TroupeError } from '../../errors.js'
import { LogTail } from '../log-tail.js'
import { requireJava } from './java.js'
import { launchArguments } from './java-arguments.js'

/** One DataNode, as the launcher tells of it. */
export interface DataNodeState {
  readonly index: number
  readonly up: boolean
  /** host:port each. */
  readonly address: string
  readonly http: string
  readonly ipc: string
}

/** What the launcher answers. */
export interface HdfsState {
  readonly event: string
  readonly rpc?: number
  readonly http?: number
  readonly state?: string
  readonly reported?: number
  readonly datanodes: readonly DataNodeState[]
}

interface Waiting {
  done(state: HdfsState): void
  failed(error: Error): void
}

/** One Java process of a trial HDFS. Commands are answered in order. */
export class HdfsProcess {
  readonly log: LogTail
  readonly #title: string
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #waiting: Waiting[] = []
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>
  #over: string | undefined

  private constructor(
    title: string,
    child: ChildProcessByStdio<Writable, Readable, Readable>,
    logFile: string,
  ) {
    this.#title = title
    this.#child = child
    this.log = new LogTail(child.stderr, logFile)
    createInterface({ input: child.stdout }).on('line', line => this.#answer(line))
    // a command written while the process dies is answered by its end
    child.stdin.on('error', () => undefined)
    this.ended = once(child, 'close').then(
      ([code, signal]: unknown[]) => this.#end(`ended with ${String(code ?? signal)}`),
      (error: unknown) => this.#end(String(error)),
    )
  }

  /**
   * @param engine the installed engine's directory
   * @param args of the launcher
   * @throws ERR_ENGINE_START with the end of its log
   */
  static async start(
    title: string,
    engine: string,
    args: readonly string[],
    logFile: string,
  ): Promise<readonly [HdfsProcess, HdfsState]> {
    const java = await requireJava('java')
    const child = spawn(java, launchArguments(args), {
      cwd: engine,
      stdio: ['pipe', 'pipe', 'pipe'],
      // a Ctrl-C at the terminal is for the one who started it; without that one it ends with its stdin
      detached: true,
    })
    const process = new HdfsProcess(title, child, logFile)
    try {
      return [process, await process.#next()]
    } catch (error) {
      await process.kill()
      throw error
    }
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** @throws ERR_ENGINE_START naming the command, with the end of the log */
  async command(line: string): Promise<HdfsState> {
    const answer = this.#next()
    this.#child.stdin.write(`${line}\n`)
    return answer
  }

  /** Ends it by the end of its stdin; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#child.stdin.end()
    await this.ended
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }

  /** Stops it in its tracks, as a machine that hangs, until `resume`. */
  suspend(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  async #next(): Promise<HdfsState> {
    if (this.#over !== undefined) throw this.#error(this.#over)
    return new Promise((done, failed) => this.#waiting.push({ done, failed }))
  }

  #answer(line: string): void {
    if (!line.startsWith('{')) return
    const answer = JSON.parse(line) as HdfsState & { readonly message?: string }
    const waiting = this.#waiting.shift()
    if (answer.event === 'error') waiting?.failed(this.#error(`says ${answer.message ?? 'nothing'}`))
    else waiting?.done(answer)
  }

  #end(how: string): void {
    this.#over = how
    for (const waiting of this.#waiting.splice(0)) waiting.failed(this.#error(how))
  }

  #error(what: string): TroupeError {
    return new TroupeError(
      'ERR_ENGINE_START',
      `${this.#title} ${what}; its log ends with:\n${this.log.tail()}`,
      {
        data: { title: this.#title },
      },
    )
  }
}
