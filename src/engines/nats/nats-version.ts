import { TroupeError } from '../../errors.js'
import { runProgram } from '../program.js'

/** What `troupe provision nats` installs. */
export const NATS_VERSION = '2.15.2'

/** Older ones ignore settings they do not know in silence, and never notice a stale connection under traffic. */
const OLDEST = [2, 10] as const

/** How to get a newer one, for error messages. */
const HOW = 'run troupe provision nats, or point NATS_SERVER_BIN at a newer one'

/**
 * The version of a nats-server: `2.15.2`.
 *
 * @throws ERR_ENGINE_PROGRAM if it does not run, or is something else
 */
export async function natsVersion(path: string): Promise<string> {
  const said = await runProgram(path, ['--version'])
  const version = /^nats-server: v?(\d+\.\d+\.\d+\S*)/m.exec(said)?.[1]
  if (version !== undefined) return version
  throw new TroupeError(
    'ERR_ENGINE_PROGRAM',
    `${path} --version says ${JSON.stringify(said.slice(0, 80))}, which is not what a nats-server says`,
    { data: { path } },
  )
}

export function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}

/**
 * The version of a nats-server that Troupe works with.
 *
 * @throws ERR_ENGINE_VERSION below 2.10
 */
export async function checkNatsVersion(path: string): Promise<string> {
  const version = await natsVersion(path)
  if (!isTooOld(version)) return version
  throw new TroupeError(
    'ERR_ENGINE_VERSION',
    `${path} is nats-server ${version}; ${OLDEST.join('.')} is the oldest that works. To get a newer one: ${HOW}`,
    { data: { path, version } },
  )
}
