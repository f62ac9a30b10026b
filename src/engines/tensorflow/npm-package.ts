import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { TroupeError } from '../../errors.js'
import { requireProgram, runProgram } from '../program.js'
import type { NpmArchive } from './release.js'

/**
 * A copy of an npm package: of the installed one if it has this very version, else of its archive from the registry
 * that npm is configured for. No script of it runs.
 *
 * @param into its directory; made
 * @param require resolves from the place whose node_modules count
 * @throws ERR_ENGINE_INSTALL, ERR_ENGINE_PROGRAM, ERR_ENGINE_MISSING, ERR_ENGINE_DIGEST
 */
export async function copyPackage(
  archive: NpmArchive,
  into: string,
  scratch: string,
  require: NodeJS.Require,
  signal?: AbortSignal,
): Promise<void> {
  const installed = await installedPackage(archive, require)
  if (installed !== undefined) {
    const isOwn = (path: string): boolean => basename(path) !== 'node_modules' || path === installed
    await cp(installed, into, { recursive: true, dereference: true, filter: isOwn })
  } else await download(archive, into, scratch, signal)
}

/** Where this version is installed; looks in the dependencies of the binding as well, where npm may have put it. */
async function installedPackage(archive: NpmArchive, require: NodeJS.Require): Promise<string | undefined> {
  for (const from of [require, ...nestedRequires(require)]) {
    try {
      const manifest = from.resolve(`${archive.name}/package.json`)
      const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version?: unknown }
      if (version === archive.version) return dirname(manifest)
    } catch {
      // not from there
    }
  }
  return undefined
}

function nestedRequires(require: NodeJS.Require): NodeJS.Require[] {
  try {
    return [createRequire(require.resolve('@tensorflow/tfjs-node-gpu/package.json'))]
  } catch {
    return []
  }
}

async function download(
  { name, version, integrity }: NpmArchive,
  into: string,
  scratch: string,
  signal?: AbortSignal,
): Promise<void> {
  const options = signal === undefined ? {} : { signal }
  const wanted = `${name}@${version}`
  const packed = join(scratch, basename(into))
  await mkdir(packed, { recursive: true })
  const npm = await requireProgram('npm')
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', packed, wanted]
  await runProgram(npm, pack, options)
  const file = (await readdir(packed)).find(entry => entry.endsWith('.tgz'))
  if (file === undefined) {
    throw new TroupeError('ERR_ENGINE_INSTALL', `npm fetched nothing for ${wanted}`, {
      data: { package: wanted },
    })
  }
  const got = `sha512-${createHash('sha512').update(await readFile(join(packed, file))).digest('base64')}` // prettier-ignore
  if (got !== integrity) {
    throw new TroupeError(
      'ERR_ENGINE_DIGEST',
      `${wanted} has the digest ${got}; published was ${integrity}`,
      {
        data: { package: wanted, got, expected: integrity },
      },
    )
  }
  await mkdir(into, { recursive: true })
  const unpack = ['-xzf', join(packed, file), '-C', into, '--strip-components=1']
  await runProgram(await requireProgram('tar'), unpack, options)
}
