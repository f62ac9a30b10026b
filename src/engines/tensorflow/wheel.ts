import { mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { TroupeError } from '../../errors.js'
import type { InstallOptions } from '../engine.js'
import { megabytes } from '../megabytes.js'
import { answers, findProgram, runProgram } from '../program.js'
import { HEADERS, LIBRARIES, TENSORFLOW_VERSION, WHEEL } from './release.js'
import { ZipArchive } from './zip-archive.js'

const REQUIREMENT = `${WHEEL.name}==${TENSORFLOW_VERSION}`

/** Pythons by the names under which they are installed. */
const PYTHONS = ['python3', 'python'] as const

/** The Python that has pip, or why there is none. */
export async function findPip(): Promise<{ readonly python: string } | { readonly why: string }> {
  let seen = false
  for (const name of PYTHONS) {
    const python = await findProgram(name)
    if (python === undefined) continue
    seen = true
    if (await answers(python, ['-m', 'pip', '--version'])) return { python }
  }
  return { why: seen ? 'the Python that is installed has no pip' : 'no Python is installed' }
}

/**
 * Downloads the wheel by pip, which knows the user's index, mirror and proxy.
 *
 * @returns its path
 * @throws ERR_ENGINE_PROGRAM with pip's last words
 */
export async function downloadWheel(
  python: string,
  into: string,
  { report, signal }: InstallOptions,
): Promise<string> {
  report({ doing: `fetching ${REQUIREMENT} by pip (${megabytes(WHEEL.downloadBytes)})` })
  await mkdir(into, { recursive: true })
  const args = [
    ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-input', '--no-cache-dir'],
    ...['--no-deps', '--only-binary=:all:', '--python-version', WHEEL.python, '--platform', WHEEL.platform],
    ...['--dest', into, REQUIREMENT],
  ]
  // pip's own temporary files: on the same disk, and gone with the directory
  await runProgram(python, args, { env: { TMPDIR: into }, ...(signal === undefined ? {} : { signal }) })
  const wheel = (await readdir(into)).find(name => name.endsWith('.whl'))
  if (wheel !== undefined) return join(into, wheel)
  throw new TroupeError('ERR_ENGINE_INSTALL', `pip fetched no wheel for ${REQUIREMENT}`, {
    data: { requirement: REQUIREMENT },
  })
}

/**
 * Takes libraries and headers out of a wheel, whichever Python it is for.
 *
 * @throws ERR_ENGINE_INSTALL if it is another archive, ERR_ENGINE_DIGEST if the libraries are not those of the release
 */
export async function unpackWheel(path: string, libraries: string, include: string): Promise<void> {
  const wheel = await ZipArchive.open(path)
  if (!wheel.has(`tensorflow/include/${HEADERS[0]}`)) {
    throw new TroupeError(
      'ERR_ENGINE_INSTALL',
      `${basename(path)} is not the wheel of TensorFlow: fetch it with pip download ${REQUIREMENT} --no-deps --platform ${WHEEL.platform} --python-version ${WHEEL.python} --only-binary=:all:`,
    )
  }
  await Promise.all(
    Object.entries(LIBRARIES).map(async ([name, expected]) => {
      const hash = await wheel.extract(`tensorflow/${name}`, join(libraries, name))
      const got = hash.digest('hex')
      if (got === expected) return
      throw new TroupeError(
        'ERR_ENGINE_DIGEST',
        `${name} of ${basename(path)} has SHA-256 ${got}; that of TensorFlow ${TENSORFLOW_VERSION} for CPUs has ${expected}`,
        { data: { file: name, got, expected } },
      )
    }),
  )
  for (const header of HEADERS) await wheel.extract(`tensorflow/include/${header}`, join(include, header))
}
