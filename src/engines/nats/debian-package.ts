import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TroupeError } from '../../errors.js'
import { findProgram, requireProgram, runProgram } from '../program.js'

/** Debian's newest: its stable release has a nats-server that is too old. */
const SUITE = 'sid'

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const SOURCES = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']
const DEFAULT_MIRROR = 'http://deb.debian.org/debian'

/** Why Debian's package cannot be had here; undefined if it may be tried. */
export async function whyNoDebianPackage(): Promise<string | undefined> {
  for (const name of ['apt-get', 'dpkg-deb']) {
    if ((await findProgram(name)) === undefined) return `no ${name} on PATH`
  }
  const keyring = await readFile(KEYRING).catch(() => undefined)
  return keyring === undefined ? `no ${KEYRING}: this is not Debian` : undefined
}

/**
 * Takes the program out of Debian's package, with folders of its own for apt: neither the packages that are installed nor
 * where apt looks for others is touched. Apt checks signatures and digests.
 */
export async function fetchDebianPackage(into: string, signal: AbortSignal | undefined): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'troupe-apt-'))
  const following = signal === undefined ? {} : { signal }
  try {
    await mkdir(join(work, 'lists', 'partial'), { recursive: true })
    await mkdir(join(work, 'archives', 'partial'), { recursive: true })
    const list = join(work, 'sources.list')
    await writeFile(list, `deb [signed-by=${KEYRING}] ${await mirror()} ${SUITE} main\n`)
    const apt = await requireProgram('apt-get')
    const settings = {
      'Dir::Etc::sourcelist': list,
      'Dir::Etc::sourceparts': '/nonexistent',
      'Dir::State::lists': join(work, 'lists'),
      'Dir::Cache': work,
      'Acquire::Languages': 'none',
      'Acquire::Retries': '1',
      'APT::Sandbox::User': '',
    }
    const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
    await runProgram(apt, [...options, '-qq', 'update'], following)
    await runProgram(apt, [...options, '-qq', 'download', 'nats-server'], { cwd: work, ...following })
    const file = (await readdir(work)).find(name => name.endsWith('.deb'))
    if (file === undefined) throw new TroupeError('ERR_ENGINE_DOWNLOAD', 'apt-get brought no package')
    const unpacked = join(work, 'unpacked')
    await runProgram(await requireProgram('dpkg-deb'), ['-x', join(work, file), unpacked], following)
    const names = await readdir(unpacked, { recursive: true })
    const program = names.find(name => name.endsWith('bin/nats-server'))
    if (program === undefined) throw new TroupeError('ERR_ENGINE_DOWNLOAD', `${file} holds no nats-server`)
    await copyFile(join(unpacked, program), join(into, 'nats-server'))
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** The mirror that this machine's apt uses already. */
async function mirror(): Promise<string> {
  for (const path of SOURCES) {
    const lines = await readFile(path, 'utf8').catch(() => '')
    const uri = /^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(https?:\S*debian\/?)(?:\s|$)/m.exec(lines)?.[1]
    if (uri !== undefined) return uri
  }
  return DEFAULT_MIRROR
}
