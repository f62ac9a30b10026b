import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { userInfo } from 'node:os'
import process from 'node:process'
import { TroupeError } from '../../errors.js'

const CONTENT = 'troupe was here'

/** An answer may take so long. */
const ANSWER_MS = 10_000

/**
 * Writes a small file into an HDFS, reads it and removes it, as `troupe doctor` does.
 *
 * @param url of a NameNode's WebHDFS: `http://namenode:9870`, with `?user.name=…` if it is not the user of this process
 * @returns what was seen, for people
 * @throws ERR_ENGINE_ANSWER
 */
export async function hdfsRoundTrip(url: string): Promise<string> {
  const base = new URL(url.replace(/^webhdfs:/, 'http:').replace(/^swebhdfs:/, 'https:'))
  const user = base.searchParams.get('user.name') ?? userInfo().username
  const path = `/tmp/.troupe-doctor-${process.pid}`
  const operation = (op: string, more = ''): string =>
    new URL(`/webhdfs/v1${path}?op=${op}&user.name=${encodeURIComponent(user)}${more}`, base).href
  try {
    const place = await ask('PUT', operation('CREATE', '&overwrite=true&noredirect=true'))
    const { Location } = JSON.parse(place) as { Location: string }
    await ask('PUT', Location, CONTENT)
    try {
      const opened = await ask('GET', operation('OPEN', '&noredirect=true'))
      const got = await ask('GET', (JSON.parse(opened) as { Location: string }).Location)
      if (got !== CONTENT) throw new Error(`a file of ${CONTENT.length} bytes came back as other bytes`)
    } finally {
      await ask('DELETE', operation('DELETE'))
    }
    return `wrote, read and removed a file at ${base.origin} as ${user}`
  } catch (cause) {
    throw new TroupeError('ERR_ENGINE_ANSWER', `HDFS at ${base.origin} did not answer as it should`, {
      data: { url: base.origin },
      cause,
    })
  }
}

/** `fetch` stumbles over the 100 Continue that a DataNode sends unasked. */
async function ask(method: string, url: string, body = ''): Promise<string> {
  return new Promise((done, failed) => {
    const send = url.startsWith('https:') ? secureRequest : request
    const headers = { 'content-type': 'application/octet-stream' }
    const sent = send(url, { method, headers, timeout: ANSWER_MS }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', failed)
      response.on('end', () => {
        const { statusCode = 0 } = response
        if (statusCode >= 200 && statusCode < 300) done(text)
        else failed(new Error(`${method} was answered ${statusCode}: ${remoteMessage(text)}`))
      })
    })
    sent.on('error', failed)
    sent.on('timeout', () => {
      sent.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`))
    })
    sent.end(body)
  })
}

/** HDFS explains itself in JSON; what stands before it may be a web page. */
function remoteMessage(text: string): string {
  try {
    const { RemoteException } = JSON.parse(text) as {
      RemoteException: { exception: string; message: string }
    }
    return `${RemoteException.exception}: ${RemoteException.message.split('\n', 1)[0] ?? ''}`
  } catch {
    return text.slice(0, 200)
  }
}
