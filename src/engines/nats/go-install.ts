import { mkdir } from 'node:fs/promises'
import { requireProgram, runProgram } from '../program.js'
import { NATS_VERSION } from './nats-version.js'

/** Builds the program with a Go toolchain, which checks the sources against Go's public sums. */
export async function installByGo(into: string, signal: AbortSignal | undefined): Promise<void> {
  const go = await requireProgram('go')
  await mkdir(into, { recursive: true })
  await runProgram(
    go,
    ['install', '-trimpath', '-ldflags', '-s -w', `github.com/nats-io/nats-server/v2@v${NATS_VERSION}`],
    { cwd: into, env: { GOBIN: into, CGO_ENABLED: '0' }, ...(signal === undefined ? {} : { signal }) },
  )
}
