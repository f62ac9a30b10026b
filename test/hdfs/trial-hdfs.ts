// A real HDFS of one's own for a test: NameNode and DataNodes in one JVM, on free ports of this machine.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const HOME = process.env['TROUPE_TRIAL_HDFS'] ?? ''
const FLAGS = [
  '--add-opens',
  'java.base/java.lang=ALL-UNNAMED',
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Xmx384m',
]

/** A DataNode that closes a file asks the NameNode again after 400 ms, unless it is told another time. */
const FAST = { 'dfs.client.block.write.locateFollowingBlock.initial.delay.ms': '5' }

export interface TrialPorts {
  readonly rpc: number
  readonly http: number
  readonly datanodes: readonly { readonly up: boolean; readonly http: number }[]
}

export interface TrialHdfs {
  readonly ports: TrialPorts
  /** `webhdfs://127.0.0.1:PORT` */
  readonly url: string
  /** `stop-nn`, `start-nn`, `stop-dn 0`, `start-dn 0`, `safemode enter`, `safemode leave` */
  command(line: string): Promise<void>
  stop(): Promise<void>
}

export async function startTrialHdfs(
  options: { readonly dataNodes?: number; readonly config?: Readonly<Record<string, string>> } = {},
): Promise<TrialHdfs> {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-hdfs-'))
  const config = Object.entries({ ...FAST, ...options.config }).map(([key, value]) => `${key}=${value}`)
  const archive = ['-Xshare:auto', `-XX:SharedArchiveFile=${HOME}/hdfs.jsa`]
  const classes = ['-cp', `${HOME}/launcher.jar:${HOME}/lib/*`, 'HdfsLauncher']
  const child = spawn('java', [
    ...FLAGS,
    ...archive,
    ...classes,
    folder,
    String(options.dataNodes ?? 1),
    ...config,
  ])
  let log = ''
  child.stderr.on('data', (data: Buffer) => (log = (log + data.toString()).slice(-20_000)))
  const lines = createInterface({ input: child.stdout })
  const answers: ((line: string) => void)[] = []
  lines.on('line', line => answers.shift()?.(line))
  const ended = once(child, 'close')
  const answer = async (): Promise<TrialPorts & { event: string; message?: string }> => {
    const line = await Promise.race([
      new Promise<string>(resolve => answers.push(resolve)),
      ended.then(() => {
        throw new Error(`the trial HDFS ended:\n${log}`)
      }),
    ])
    const told = JSON.parse(line) as TrialPorts & { event: string; message?: string }
    if (told.event === 'error') throw new Error(`the trial HDFS: ${told.message ?? ''}`)
    return told
  }
  const ports = await answer()
  return {
    ports,
    url: `webhdfs://127.0.0.1:${ports.http}`,
    async command(line) {
      child.stdin.write(`${line}\n`)
      await answer()
    },
    async stop() {
      child.stdin.end()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}
