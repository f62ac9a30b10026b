import { describe, TroupeError } from '../errors.js'
import type { HadoopConfig } from './hadoop-config.js'
import { isHdfsLocation, locationText, parseHdfsLocation, type HdfsLocation } from './location.js'

/** Where NameNodes listen for HTTP when nothing else is said, since Hadoop 3. */
const DEFAULT_HTTP_PORT = 9870
const DEFAULT_HTTPS_PORT = 9871
/** What an address without a host of its own stands for. */
const ANY_HOST = '0.0.0.0'

/** The servers that answer for a place, and the path they are asked for. */
export interface NameService {
  /** What errors and logs call it. */
  readonly name: string
  /** `http://host:port` each; of several, one is active at a time. */
  readonly origins: readonly string[]
  readonly path: string
  /** Of `hadoop.security.authentication`. */
  readonly kerberos: boolean
}

/**
 * Finds the NameNodes of a location: by its own host and port, or by what Hadoop's configuration says of its name.
 *
 * @throws ERR_HDFS_LOCATION when it cannot be told who answers for it
 */
export function resolveNameService(given: HdfsLocation, config: HadoopConfig): NameService {
  const location = given.host === '' ? withDefault(given, config) : given
  const tls = location.scheme === 'swebhdfs' || (location.scheme === 'hdfs' && prefersTls(config))
  const { host, port, path } = location
  const kerberos = config.get('hadoop.security.authentication') === 'kerberos'
  const base = { name: locationText({ ...location, path: '' }), path, kerberos }
  const nodes = port === undefined ? listOf(config.get(`dfs.ha.namenodes.${host}`)) : []
  if (nodes.length > 0) {
    return { ...base, origins: nodes.map(node => originOf(config, tls, location, `.${host}.${node}`)) }
  }
  if (port === undefined && listOf(config.get('dfs.nameservices')).includes(host)) {
    return { ...base, origins: [originOf(config, tls, location, `.${host}`)] }
  }
  if (location.scheme !== 'hdfs') return { ...base, origins: [origin(tls, host, port ?? defaultPort(tls))] }
  // The port of an hdfs:// URL is the one for Hadoop's own protocol; HTTP has another.
  const address = config.get(httpKey(tls))
  const known = address === undefined ? undefined : splitAddress(address)
  const httpPort = known?.port ?? defaultPort(tls)
  return { ...base, origins: [origin(tls, host, httpPort)] }
}

function withDefault(location: HdfsLocation, config: HadoopConfig): HdfsLocation {
  const text = config.get('fs.defaultFS') ?? config.get('fs.default.name')
  if (text === undefined) {
    throw locationError(location, 'it names no host, and no fs.defaultFS says which is meant')
  }
  if (!isHdfsLocation(text))
    throw locationError(location, `it names no host, and fs.defaultFS is ${describe(text)}`)
  const { scheme, host, port } = parseHdfsLocation(text)
  if (host === '') throw locationError(location, `it names no host, and neither does fs.defaultFS`)
  // A port belongs to its scheme.
  if (location.scheme === 'hdfs' || scheme === location.scheme) return { ...location, scheme, host, port }
  return { ...location, host, port: undefined }
}

function originOf(config: HadoopConfig, tls: boolean, location: HdfsLocation, suffix: string): string {
  const key = `${httpKey(tls)}${suffix}`
  const address = config.get(key)
  const { host, port } = splitAddress(address ?? '')
  if (host !== '' && host !== ANY_HOST) return origin(tls, host, port ?? defaultPort(tls))
  // Hadoop takes the host of the other address then.
  const other = splitAddress(config.get(`dfs.namenode.rpc-address${suffix}`) ?? '').host
  if (other === '' || other === ANY_HOST)
    throw locationError(location, `${key} is not in Hadoop's configuration`)
  return origin(tls, other, port ?? defaultPort(tls))
}

function prefersTls(config: HadoopConfig): boolean {
  return config.get('dfs.http.policy') === 'HTTPS_ONLY'
}

function httpKey(tls: boolean): string {
  return tls ? 'dfs.namenode.https-address' : 'dfs.namenode.http-address'
}

function defaultPort(tls: boolean): number {
  return tls ? DEFAULT_HTTPS_PORT : DEFAULT_HTTP_PORT
}

function origin(tls: boolean, host: string, port: number): string {
  return `${tls ? 'https' : 'http'}://${host}:${port}`
}

function splitAddress(address: string): { host: string; port: number | undefined } {
  const match = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(address.trim())
  const port = match?.[2]
  return { host: match?.[1] ?? '', port: port === undefined ? undefined : Number(port) }
}

function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
}

function locationError(location: HdfsLocation, why: string): TroupeError {
  const place = locationText(location)
  return new TroupeError('ERR_HDFS_LOCATION', `${place} cannot be found: ${why}`, { data: { place } })
}
