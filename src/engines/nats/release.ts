import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { TroupeError } from '../../errors.js'
import { checkDigest } from '../digest.js'
import { download } from '../download.js'
import type { InstallOptions } from '../engine.js'
import { requireProgram, runProgram } from '../program.js'
import { NATS_VERSION } from './nats-version.js'

const RELEASES = 'https://github.com/nats-io/nats-server/releases/download'

/** Where the releases are mirrored, if they are: has the same files in the same folders. */
const RELEASES_VARIABLE = 'NATS_RELEASES_URL'

/** The release names platforms as Go does. */
const PLATFORMS: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'darwin' }
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

export function releases(): string {
  return (process.env[RELEASES_VARIABLE] ?? '').replace(/\/+$/, '') || RELEASES
}

/** Why there is no release for this machine; undefined if there is one. */
export function whyNoRelease(): string | undefined {
  if (PLATFORMS[process.platform] !== undefined && ARCHITECTURES[process.arch] !== undefined) return undefined
  return `for Linux and macOS on x64 and arm64, not for ${process.platform} on ${process.arch}`
}

/** Fetches the program of the project's own release, and compares it with the digests published there. */
export async function fetchRelease(
  into: string,
  { report, signal }: Pick<InstallOptions, 'report' | 'signal'>,
): Promise<void> {
  const stem = `nats-server-v${NATS_VERSION}-${PLATFORMS[process.platform] ?? ''}-${ARCHITECTURES[process.arch] ?? ''}`
  const archive = `${stem}.tar.gz`
  const base = `${releases()}/v${NATS_VERSION}`
  const following = signal === undefined ? {} : { signal }
  const sums = join(into, 'SHA256SUMS')
  await download(`${base}/SHA256SUMS`, sums, following)
  const digest = (await readFile(sums, 'utf8'))
    .split('\n')
    .map(line => line.trim().split(/\s+\*?/))
    .find(([, name]) => name === archive)?.[0]
  if (digest === undefined)
    throw new TroupeError('ERR_ENGINE_DOWNLOAD', `${base}/SHA256SUMS names no ${archive}`)
  let doneBytes = 0
  const received = (bytes: number): void => {
    doneBytes += bytes
    report({ doing: `fetching ${archive}`, doneBytes })
  }
  const path = join(into, archive)
  await download(`${base}/${archive}`, path, { received, ...following })
  await checkDigest(path, digest)
  const tar = await requireProgram('tar')
  await runProgram(tar, ['-xzf', path, '-C', into, '--strip-components=1', `${stem}/nats-server`], following)
  await rm(path)
  await rm(sums)
}
