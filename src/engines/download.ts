import { createWriteStream } from 'node:fs'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TroupeError } from '../errors.js'

const MAX_REDIRECTS = 5

/** A server that says nothing for so long is given up. */
const SILENT_MS = 30_000

export interface DownloadOptions {
  /** Called with the bytes of each piece. */
  readonly received?: (bytes: number) => void
  readonly signal?: AbortSignal
}

/**
 * Fetches a file by HTTP or HTTPS; redirects are followed.
 *
 * @throws ERR_ENGINE_DOWNLOAD naming the URL: no answer, another status than 200, or fewer bytes than announced
 */
export async function download(url: string, path: string, options: DownloadOptions = {}): Promise<void> {
  try {
    const response = await open(url, MAX_REDIRECTS, options.signal)
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        options.received?.(chunk.length)
        done(null, chunk)
      },
    })
    await pipeline(
      response,
      counter,
      createWriteStream(path),
      options.signal === undefined ? {} : { signal: options.signal },
    )
  } catch (cause) {
    options.signal?.throwIfAborted()
    const code = (cause as NodeJS.ErrnoException).code
    // the name of the error that Node gives a body cut short says little
    const why = code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' ? ': the connection broke' : ''
    throw new TroupeError('ERR_ENGINE_DOWNLOAD', `${url} could not be fetched${why}`, {
      data: { url },
      cause,
    })
  }
}

async function open(
  url: string,
  redirects: number,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((done, failed) => {
    const get = url.startsWith('https:') ? httpsGet : httpGet
    const request = get(url, { timeout: SILENT_MS, ...(signal === undefined ? {} : { signal }) }, done)
    request.on('error', failed)
    request.on('timeout', () => {
      request.destroy(new Error(`nothing came for ${SILENT_MS / 1000} s`))
    })
  })
  const { statusCode = 0, headers } = response
  if (statusCode === 200) return response
  response.resume()
  if (statusCode < 300 || statusCode > 399 || headers.location === undefined)
    throw new Error(`the server answered ${statusCode}`)
  if (redirects === 0) throw new Error(`more than ${MAX_REDIRECTS} redirects`)
  const next = new URL(headers.location, url).href
  if (url.startsWith('https:') && !next.startsWith('https:'))
    throw new Error(`a redirect from https to ${next}`)
  return open(next, redirects - 1, signal)
}
