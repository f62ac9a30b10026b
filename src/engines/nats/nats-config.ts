import type { Certificates } from './certificates.js'

/** What a generated configuration says. */
export interface NatsConfig {
  /** @default the server chooses one */
  readonly name?: string
  /** @default false */
  readonly jetstream?: boolean
  /** The largest message in bytes. @default 8 MB */
  readonly maxPayloadBytes?: number
  /** Clients must speak TLS, and show a certificate of the same authority. */
  readonly tls?: Certificates
  readonly cluster?: ClusterConfig
}

export interface ClusterConfig {
  readonly name: string
  readonly port: number
  /** The ports of all servers of the cluster. */
  readonly ports: readonly number[]
}

const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

/** What a slow client may have pending, before it is closed: many frames of the largest size. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024

/**
 * A configuration that holds up under large frames: time for a busy client to read, and a dead one noticed within ten
 * seconds. JetStream writes what it acknowledges to disk at once.
 */
export function natsConfig(config: NatsConfig, storeDir: string): string {
  const { name, jetstream = false, maxPayloadBytes = MAX_PAYLOAD_BYTES, tls, cluster } = config
  const lines = [
    ...(name === undefined ? [] : [`server_name: ${quoted(name)}`]),
    `max_payload: ${maxPayloadBytes}`,
    `max_pending: ${MAX_PENDING_BYTES}`,
    'write_deadline: "30s"',
    'ping_interval: "5s"',
    'ping_max: 2',
    ...(jetstream ? [`jetstream { store_dir: ${quoted(storeDir)}, sync_interval: always }`] : []),
    ...(tls === undefined ? [] : tlsBlock(tls)),
  ]
  if (cluster !== undefined) {
    const routes = cluster.ports.filter(port => port !== cluster.port)
    lines.push(
      'cluster {',
      `  name: ${quoted(cluster.name)}`,
      `  listen: "127.0.0.1:${cluster.port}"`,
      `  routes: [${routes.map(port => quoted(`nats-route://127.0.0.1:${port}`)).join(', ')}]`,
      ...(tls === undefined ? [] : tlsBlock(tls).map(line => `  ${line}`)),
      '}',
    )
  }
  return `${lines.join('\n')}\n`
}

function tlsBlock({ ca, cert, key }: Certificates): string[] {
  return [
    'tls {',
    `  ca_file: ${quoted(ca)}`,
    `  cert_file: ${quoted(cert)}`,
    `  key_file: ${quoted(key)}`,
    '  verify: true',
    '}',
  ]
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
