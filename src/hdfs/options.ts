import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import process from 'node:process'
import { z } from 'zod'
import { parseOptions } from '../config/index.js'
import { TroupeError } from '../errors.js'

export const DEFAULT_BASE_PATH = '/webhdfs/v1'
export const DEFAULT_CONNECT_TIMEOUT_MS = 5_000
export const DEFAULT_RESPONSE_TIMEOUT_MS = 20_000
export const DEFAULT_IDLE_TIMEOUT_MS = 60_000
export const DEFAULT_RETRY_FOR_MS = 30_000
export const DEFAULT_MAX_CONNECTIONS = 16
export const DEFAULT_REPLAY_MAX_BYTES = 8 * 1024 * 1024

const milliseconds = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1)

const SCHEMA = z.strictObject({
  user: z.string().min(1).optional(),
  authentication: z.enum(['simple', 'kerberos']).optional(),
  token: z.string().min(1).optional(),
  tokenFile: z.string().min(1).optional(),
  delegate: z.boolean().default(false),
  configDirectory: z.string().min(1).optional(),
  basePath: z
    .string()
    .regex(/^(\/[^/?#\s]+)+$/, 'a path such as /gateway/default/webhdfs/v1 is accepted')
    .default(DEFAULT_BASE_PATH),
  headers: z.record(z.string(), z.string()).default({}),
  hosts: z.record(z.string(), z.string()).default({}),
  caFile: z.string().min(1).optional(),
  connectTimeoutMs: milliseconds.default(DEFAULT_CONNECT_TIMEOUT_MS),
  responseTimeoutMs: milliseconds.default(DEFAULT_RESPONSE_TIMEOUT_MS),
  idleTimeoutMs: milliseconds.default(DEFAULT_IDLE_TIMEOUT_MS),
  retryForMs: z.number().int().min(0).default(DEFAULT_RETRY_FOR_MS),
  maxConnections: z.number().int().min(1).default(DEFAULT_MAX_CONNECTIONS),
  replayMaxBytes: z.number().int().min(0).default(DEFAULT_REPLAY_MAX_BYTES),
  syncBlocks: z.boolean().default(true),
  trash: z.boolean().default(true),
})

/** How to reach an HDFS over HTTP, beside what its URL and Hadoop's own configuration say. */
export interface HdfsOptions {
  /** Who asks, where nobody checks it. @default `HADOOP_USER_NAME`, else the user of this process */
  readonly user?: string | undefined
  /** `kerberos` needs the package of that name and a ticket. @default `hadoop.security.authentication`, else simple */
  readonly authentication?: 'simple' | 'kerberos' | undefined
  /** A delegation token, as `hdfs fetchdt --webservice` writes it in its text form. */
  readonly token?: string | undefined
  /** A file with such a token; read again when the one it held is no longer taken. */
  readonly tokenFile?: string | undefined
  /** Gets a delegation token of its own and renews it, so that not each request is authenticated. @default false */
  readonly delegate?: boolean | undefined
  /** The folder of core-site.xml and hdfs-site.xml. @default `HADOOP_CONF_DIR`; without it none are read */
  readonly configDirectory?: string | undefined
  /** Of a gateway such as Knox: `/gateway/TOPOLOGY/webhdfs/v1`. @default `/webhdfs/v1` */
  readonly basePath?: string | undefined
  /** For NameNodes and gateways, such as `{ authorization: 'Basic …' }`. Never sent elsewhere. @default none */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Where hosts are that cannot be resolved from here: `{ 'dn1.inner:9864': '10.0.0.4:9864' }`, or without ports. */
  readonly hosts?: Readonly<Record<string, string>> | undefined
  /** PEM file of the authority that signed the servers' certificates. @default those that Node knows */
  readonly caFile?: string | undefined
  /** @default 5000 */
  readonly connectTimeoutMs?: number | undefined
  /** From the end of a request to the beginning of its answer. @default 20000 */
  readonly responseTimeoutMs?: number | undefined
  /** A transfer that stands still for this long is given up. @default 60000 */
  readonly idleTimeoutMs?: number | undefined
  /**
   * How long after its first failure an operation is tried again, when no NameNode answers, none is active, or it is in
   * safe mode; 0: never. @default 30000
   */
  readonly retryForMs?: number | undefined
  /** To each server. @default 16 */
  readonly maxConnections?: number | undefined
  /** A file that breaks off before it is longer than this is sent once more. Bytes. @default 8 MiB */
  readonly replayMaxBytes?: number | undefined
  /** Blocks are on disk, not only in memory of DataNodes, when a file counts as written. @default true */
  readonly syncBlocks?: boolean | undefined
  /** What is taken out of use goes to the trash, where the server keeps one. @default true */
  readonly trash?: boolean | undefined
}

/** With all defaults. */
export type HdfsSettings = Readonly<z.output<typeof SCHEMA>> & { readonly user: string }

/** What the environment of a process says: {@link readHdfsSettings} takes it from there in threads, too. */
type Environment = Readonly<Record<string, string | undefined>>

/**
 * Options over what the environment says: `HADOOP_CONF_DIR`, `HADOOP_USER_NAME`, and `TROUPE_HDFS_OPTIONS`, a JSON
 * file with {@link HdfsOptions}, which threads and processes find as well.
 *
 * @throws ERR_INVALID_OPTION naming the bad one
 */
export function readHdfsSettings(options: HdfsOptions = {}, env: Environment = process.env): HdfsSettings {
  const file = env['TROUPE_HDFS_OPTIONS']
  const stored = file === undefined || file === '' ? {} : readOptionsFile(file)
  const settings = parseOptions(SCHEMA, { ...stored, ...withoutUndefined(options) }, 'HDFS option')
  const configDirectory = settings.configDirectory ?? (env['HADOOP_CONF_DIR'] || undefined)
  return {
    ...settings,
    configDirectory,
    user: settings.user ?? (env['HADOOP_USER_NAME'] || userInfo().username),
  }
}

function readOptionsFile(file: string): object {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof found === 'object' && found !== null) return found
    throw new TypeError('it holds no object')
  } catch (error) {
    throw new TroupeError('ERR_HDFS_CONFIG', `${file}, which TROUPE_HDFS_OPTIONS names, cannot be read`, {
      data: { file },
      cause: error,
    })
  }
}

function withoutUndefined(options: HdfsOptions): HdfsOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
