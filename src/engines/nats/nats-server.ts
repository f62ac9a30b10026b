import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Clock } from '../../determinism/index.js'
import { TroupeError } from '../../errors.js'
import { LogTail } from '../log-tail.js'
import { pause } from '../pause.js'
import { natsConfig, type NatsConfig } from './nats-config.js'

/** A server that is not ready after so long will not be. */
const READY_MS = 30_000

const POLL_MS = 10

export interface NatsServerOptions {
  readonly clock: Clock
  /** The text of a configuration, or what to generate one from. @default generated, without JetStream */
  readonly config?: string | NatsConfig
  /** For the configuration, the log and, where it is generated, JetStream's files. @default a temporary directory */
  readonly dir?: string
}

/** What the server writes about its ports: URLs of this machine. */
interface PortsFile {
  readonly nats: readonly string[]
  readonly monitoring?: readonly string[]
}

/** A nats-server on the loopback interface: on free ports at first, on the same when it is started again. */
export class NatsServer implements AsyncDisposable {
  readonly dir: string
  readonly #program: string
  readonly #clock: Clock
  readonly #temporary: boolean
  #child: ChildProcessByStdio<null, Readable, Readable> | undefined
  #log: LogTail | undefined
  #port = -1
  #monitoringPort = -1

  private constructor(program: string, clock: Clock, dir: string, temporary: boolean) {
    this.#program = program
    this.#clock = clock
    this.dir = dir
    this.#temporary = temporary
  }

  /**
   * Resolves when clients can connect, and JetStream is up if it is on.
   *
   * @param program the path of a nats-server
   * @throws ERR_ENGINE_START with the end of its log
   */
  static async start(program: string, options: NatsServerOptions): Promise<NatsServer> {
    const server = await NatsServer.prepare(program, options)
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  /** All but started: servers of a cluster must be started together. */
  static async prepare(program: string, options: NatsServerOptions): Promise<NatsServer> {
    const { clock, config = {} } = options
    const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'troupe-nats-')))
    await mkdir(join(dir, 'ports'), { recursive: true })
    const server = new NatsServer(program, clock, dir, options.dir === undefined)
    const text = typeof config === 'string' ? config : natsConfig(config, join(dir, 'jetstream'))
    await writeFile(join(dir, 'nats.conf'), text)
    return server
  }

  /** For clients: `nats://127.0.0.1:PORT`. */
  get url(): string {
    return `nats://127.0.0.1:${this.#port}`
  }

  /** For `/healthz`, `/varz` and the like. */
  get monitoringUrl(): string {
    return `http://127.0.0.1:${this.#monitoringPort}`
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** The last lines of its log; the whole log is `nats.log` in its directory. */
  logTail(lines?: number): string {
    return this.#log?.tail(lines) ?? ''
  }

  /** Starts it, again if it was stopped or killed: on the same ports, with the same files. */
  async start(): Promise<void> {
    const ports = join(this.dir, 'ports')
    const child = spawn(
      this.#program,
      [
        ...['-c', join(this.dir, 'nats.conf'), '-a', '127.0.0.1', '-p', String(this.#port)],
        ...['-m', String(this.#monitoringPort), '--ports_file_dir', ports],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    child.stdout.resume()
    this.#child = child
    this.#log = new LogTail(child.stderr, join(this.dir, 'nats.log'))
    let over: string | undefined
    child.on('error', error => {
      over = error.message
    })
    child.on('close', (code, signal) => {
      over = `it ended with ${String(code ?? signal)}`
      if (this.#child === child) this.#child = undefined
    })
    const end = this.#clock.monotonic() + READY_MS
    while (!(await this.#isReady(join(ports, `nats-server_${child.pid ?? 0}.ports`)))) {
      if (over === undefined && this.#clock.monotonic() > end) over = `not ready after ${READY_MS / 1000} s`
      if (over !== undefined) {
        throw new TroupeError(
          'ERR_ENGINE_START',
          `nats-server did not start: ${over}; its log ends with:\n${this.logTail()}\n`,
          { data: { dir: this.dir } },
        )
      }
      await pause(this.#clock, POLL_MS)
    }
  }

  async #isReady(portsFile: string): Promise<boolean> {
    const text = await readFile(portsFile, 'utf8').catch(() => '')
    if (!text.trimEnd().endsWith('}')) return false
    const { nats, monitoring } = JSON.parse(text) as PortsFile
    this.#port = portOf(nats)
    this.#monitoringPort = portOf(monitoring)
    return isHealthy(`${this.monitoringUrl}/healthz?js-server-only=true`)
  }

  /** In good order: SIGTERM. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
    if (this.#temporary) await rm(this.dir, { recursive: true, force: true })
  }

  /** As {@link stop}, with its files kept for another {@link start}. */
  async shutDown(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  /** Tells clients to go elsewhere, and ends after the grace that is configured. */
  lameDuck(): void {
    this.#child?.kill('SIGUSR2')
  }

  /** Stops it in its tracks, as a machine that hangs, until {@link resume}. */
  suspend(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

function portOf(urls: readonly string[] | undefined): number {
  return Number(new URL(urls?.[0] ?? 'none://127.0.0.1:0').port)
}

async function isHealthy(url: string): Promise<boolean> {
  return new Promise(done => {
    const request = get(url, { timeout: 1_000 }, response => {
      response.resume()
      done(response.statusCode === 200)
    })
    request.on('error', () => done(false))
    request.on('timeout', () => request.destroy())
  })
}
