import { connect as connectPlain, type Socket } from 'node:net'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { connect as connectSecure } from 'node:tls'
import { TroupeError } from '../../errors.js'

const CONTENT = 'troupe was here'

/** A server that says nothing for so long is given up. */
const ANSWER_MS = 10_000

const DEFAULT_PORT = 4222

/** The content of PEM files. */
export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** How a server introduces itself; of many fields these. */
interface ServerInfo {
  readonly version: string
  readonly tls_required?: boolean
}

/**
 * Publishes a message to itself, as `troupe doctor` does: connects, subscribes, publishes, waits for what it sent.
 *
 * @param url `nats://[user:password@|token@]host[:port]`, or `tls://…`
 * @param trust for a server that is not signed by a public authority, or wants to see a certificate
 * @returns what was seen, for people
 * @throws ERR_ENGINE_ANSWER; the URL's secrets are not in it
 */
export async function natsRoundTrip(url: string, trust: TlsFiles = {}): Promise<string> {
  const { hostname, port, protocol, username, password } = new URL(url)
  const place = `${hostname}:${port === '' ? DEFAULT_PORT : port}`
  let socket: Socket = connectPlain(port === '' ? DEFAULT_PORT : Number(port), hostname)
  try {
    socket.setTimeout(ANSWER_MS, () => {
      socket.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`))
    })
    const info = JSON.parse((await firstLine(socket)).replace(/^INFO /, '')) as ServerInfo
    if (protocol === 'tls:' || info.tls_required === true)
      socket = connectSecure({ socket, host: hostname, ...trust })
    const login =
      password === ''
        ? { auth_token: decodeURIComponent(username) }
        : { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
    const hello = { verbose: false, pedantic: false, lang: 'node', version: '0', name: 'troupe doctor' }
    const subject = `_INBOX.troupe.doctor.${process.pid}`
    socket.write(`CONNECT ${JSON.stringify({ ...hello, ...(username === '' ? {} : login) })}\r\n`)
    socket.write(`SUB ${subject} 1\r\nPUB ${subject} ${CONTENT.length}\r\n${CONTENT}\r\n`)
    await untilContent(socket)
    return `nats-server ${info.version} at ${place} sent back a message`
  } catch (cause) {
    throw new TroupeError('ERR_ENGINE_ANSWER', `NATS at ${place} did not answer as it should`, {
      data: { place },
      cause,
    })
  } finally {
    socket.destroy()
  }
}

/** The server speaks first, in clear; nothing more comes before it is answered. */
async function firstLine(socket: Socket): Promise<string> {
  return new Promise((done, failed) => {
    let text = ''
    const more = (chunk: Buffer): void => {
      text += chunk.toString('utf8')
      if (!text.includes('\r\n')) return
      socket.off('data', more)
      socket.pause()
      done(text.split('\r\n', 1)[0] ?? '')
    }
    socket.on('data', more)
    socket.on('error', failed)
    socket.on('close', () => failed(new Error('the server closed the connection')))
  })
}

async function untilContent(socket: Socket): Promise<void> {
  return new Promise((done, failed) => {
    const lines = createInterface({ input: socket })
    lines.on('line', line => {
      if (line === 'PING') socket.write('PONG\r\n')
      if (line === CONTENT) done()
      if (line.startsWith('-ERR')) failed(new Error(`the server says ${line.slice('-ERR '.length)}`))
    })
    lines.on('error', failed)
    socket.on('error', failed)
    socket.on('close', () => failed(new Error('the server closed the connection')))
  })
}
