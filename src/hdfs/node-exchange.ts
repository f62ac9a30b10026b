import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { Clock, Timer } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import type { HttpExchange, HttpReply, HttpRequest, HttpUpload } from './exchange.js'
import { RequestFailure } from './failure.js'
import type { HdfsSettings } from './options.js'

/** A certificate that is not believed now will not be later. */
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS|ERR_SSL|EPROTO/

/** As many bytes of a body are with the kernel before a writer waits. */
const SEND_BUFFER_BYTES = 1024 * 1024

/**
 * HTTP over Node's own client, with connections that are kept.
 *
 * Not `fetch`: DataNodes answer an upload with a `100 Continue` that nobody asked for, which it takes for a bad
 * response.
 */
export function nodeExchange(settings: HdfsSettings, clock: Clock): HttpExchange {
  const options = { keepAlive: true, maxSockets: settings.maxConnections, scheduling: 'lifo' } as const
  const plain = new http.Agent(options)
  let tls: https.Agent | undefined
  const tlsAgent = (): https.Agent => (tls ??= new https.Agent({ ...options, ...authority(settings.caFile) }))

  const begin = ({ method, url, headers }: HttpRequest): http.ClientRequest => {
    const secure = url.protocol === 'https:'
    const at = mapped(url, settings.hosts)
    const given = {
      method,
      host: at.hostname,
      port: at.port,
      path: `${url.pathname}${url.search}`,
      headers: { ...headers, host: url.host },
      highWaterMark: SEND_BUFFER_BYTES,
    }
    if (!secure) return http.request({ ...given, agent: plain })
    // A mapped host presents the certificate of its own name; addresses are no names.
    const named = isIP(bare(url.hostname)) === 0 ? { servername: url.hostname } : {}
    return https.request({ ...given, ...named, agent: tlsAgent() })
  }

  return {
    async send(request) {
      const call = new Call(begin(request), request.url, settings, clock)
      call.request.end()
      return call.reply()
    },
    async upload(request) {
      const call = new Call(begin(request), request.url, settings, clock)
      // Without it the headers would wait for the first bytes, and a dead server be noticed only then.
      call.request.flushHeaders()
      await call.connected()
      return call
    },
    close() {
      plain.destroy()
      tls?.destroy()
    },
  }
}

/** One request on its way, watched for standing still. */
class Call implements HttpUpload {
  readonly request: http.ClientRequest
  readonly #url: URL
  readonly #settings: HdfsSettings
  readonly #clock: Clock
  readonly #response: Promise<http.IncomingMessage>
  readonly #connected: Promise<void>
  #timer: Timer | undefined
  #answered = false
  #isConnected = false

  constructor(request: http.ClientRequest, url: URL, settings: HdfsSettings, clock: Clock) {
    this.request = request
    this.#url = url
    this.#settings = settings
    this.#clock = clock
    this.#watch(settings.connectTimeoutMs, 'could not be connected to')
    this.#connected = new Promise((resolve, reject) => {
      const ready = (): void => {
        this.#isConnected = true
        this.#watch(settings.responseTimeoutMs, 'did not answer')
        resolve()
      }
      request.once('socket', socket => {
        if (!socket.connecting) ready()
        else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', ready)
      })
      request.once('error', error => reject(this.#failure(error)))
    })
    this.#response = new Promise((resolve, reject) => {
      request.once('response', response => {
        this.#answered = true
        this.#timer?.cancel()
        resolve(response)
      })
      request.once('error', error => {
        this.#timer?.cancel()
        reject(this.#failure(error))
      })
      request.once('close', () => this.#timer?.cancel())
    })
    // Whoever waits for them is told; until then, or if nobody does, a failure must not end the process.
    this.#connected.catch(() => undefined)
    this.#response.catch(() => undefined)
    request.on('error', () => undefined)
  }

  async connected(): Promise<void> {
    await this.#connected
  }

  async reply(): Promise<HttpReply> {
    const response = await this.#response
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: this.#body(response),
      drop: () => response.destroy(),
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#answered) throw this.#broken('answered before the whole body was sent')
    this.#watch(this.#settings.idleTimeoutMs, 'took no bytes')
    await new Promise<void>((resolve, reject) => {
      const early = (): void => reject(this.#broken('answered before the whole body was sent'))
      this.request.once('response', early)
      this.request.write(bytes, error => {
        this.request.off('response', early)
        if (error) reject(this.#failure(error))
        else resolve()
      })
    })
    this.#timer?.cancel()
  }

  async finish(): Promise<HttpReply> {
    // The last block is written through the whole pipeline before this is answered.
    this.#watch(this.#settings.idleTimeoutMs, 'did not confirm the body')
    this.request.end()
    return this.reply()
  }

  abort(): void {
    this.request.destroy()
  }

  early(): Promise<HttpReply> | undefined {
    return this.#answered ? this.reply() : undefined
  }

  async *#body(response: http.IncomingMessage): AsyncGenerator<Uint8Array> {
    const watch = (): void => this.#watch(this.#settings.idleTimeoutMs, 'gave no more bytes')
    try {
      watch()
      for await (const piece of response as AsyncIterable<Uint8Array>) {
        this.#timer?.cancel()
        yield piece
        watch()
      }
    } catch (error) {
      throw this.#failure(error)
    } finally {
      this.#timer?.cancel()
    }
  }

  #watch(ms: number, what: string): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(ms, () => {
      const error = Object.assign(new Error(`${what} within ${ms} ms`), { code: 'ETIMEDOUT' })
      this.request.destroy(error)
    })
  }

  #broken(what: string): RequestFailure {
    return new RequestFailure(`${this.#url.host} ${what}`, {
      code: 'ERR_HDFS_UNAVAILABLE',
      reaction: 'switch',
      ambiguous: true,
    })
  }

  #failure(cause: unknown): RequestFailure {
    if (cause instanceof RequestFailure) return cause
    const { code = '', message } = cause as NodeJS.ErrnoException
    const untrusted = CERTIFICATE.test(code)
    return new RequestFailure(`${this.#url.host}: ${message}`, {
      code: untrusted ? 'ERR_HDFS_REFUSED' : 'ERR_HDFS_UNAVAILABLE',
      reaction: untrusted ? 'end' : 'switch',
      ambiguous: this.#isConnected,
      cause,
    })
  }
}

function mapped(url: URL, hosts: Readonly<Record<string, string>>): { hostname: string; port: string } {
  const port = url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80'
  const target = hosts[url.host] ?? hosts[url.hostname]
  if (target === undefined) return { hostname: bare(url.hostname), port }
  const to = new URL(`${url.protocol}//${target}`)
  return { hostname: bare(to.hostname), port: to.port !== '' ? to.port : port }
}

/** Sockets want addresses of the sixth version without brackets. */
function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}

function authority(file: string | undefined): { ca?: Buffer } {
  if (file === undefined) return {}
  try {
    return { ca: readFileSync(file) }
  } catch (error) {
    throw new TroupeError('ERR_HDFS_CONFIG', `${file}, named as caFile, cannot be read`, {
      data: { file },
      cause: error,
    })
  }
}
