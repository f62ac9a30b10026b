import { describe, TroupeError } from '../errors.js'
import { redact } from './redaction.js'

/** How a place in HDFS is named: `hdfs` by its file system, the others by the HTTP address of a NameNode. */
export type HdfsScheme = 'hdfs' | 'webhdfs' | 'swebhdfs'

/** `hdfs://cluster/jobs/mnist` in parts. */
export interface HdfsLocation {
  readonly scheme: HdfsScheme
  /** A nameservice, or a host. Empty: that of `fs.defaultFS`. */
  readonly host: string
  readonly port: number | undefined
  /** Absolute, without a slash at its end; `/` is the root. */
  readonly path: string
}

const URL_PARTS = /^(hdfs|webhdfs|swebhdfs):\/\/(?:(\[[0-9a-f:.]+\]|[^/:?#@[\]]*)(?::(\d{1,5}))?)(\/[^]*)?$/i
const SCHEMES = /^(?:hdfs|webhdfs|swebhdfs):/i
const MAX_PORT = 65_535

/** Does this name a place in HDFS, well or badly? */
export function isHdfsLocation(text: string): boolean {
  return SCHEMES.test(text)
}

/**
 * Takes the URL of a place in HDFS apart. Its path is taken as written, as Hadoop's own tools do: `%`, `?` and `#` are
 * characters of names.
 *
 * @throws ERR_HDFS_LOCATION
 */
export function parseHdfsLocation(text: string): HdfsLocation {
  const match = URL_PARTS.exec(text)
  if (match === null)
    throw locationError(text, 'it is none of hdfs://, webhdfs://, swebhdfs://HOST:PORT/PATH')
  const [, scheme, host = '', port, path = '/'] = match
  if (port !== undefined && (Number(port) < 1 || Number(port) > MAX_PORT)) {
    throw locationError(text, `its port is ${port}; ports are 1 to ${MAX_PORT}`)
  }
  if (host === '' && port !== undefined) throw locationError(text, 'it has a port but no host')
  const parts = path.split('/').filter(part => part !== '')
  const odd = parts.find(part => part === '.' || part === '..' || part.includes(':'))
  if (odd !== undefined) throw locationError(text, `HDFS allows no ${describe(odd)} in a path`)
  return {
    scheme: scheme!.toLowerCase() as HdfsScheme,
    host,
    port: port === undefined ? undefined : Number(port),
    path: `/${parts.join('/')}`,
  }
}

/** The location as people write it, fit for errors and logs. */
export function locationText({ scheme, host, port, path }: HdfsLocation): string {
  return `${scheme}://${host}${port === undefined ? '' : `:${port}`}${path}`
}

function locationError(text: string, why: string): TroupeError {
  const place = redact(text)
  return new TroupeError('ERR_HDFS_LOCATION', `${describe(place)} is no place in HDFS: ${why}`, {
    data: { place },
  })
}
