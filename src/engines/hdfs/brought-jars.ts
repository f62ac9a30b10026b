import { copyFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { TroupeError } from '../../errors.js'
import { requireProgram, runProgram } from '../program.js'
import { JARS, jarFile } from './jars.js'

/**
 * Takes the jars from what somebody brought along: a directory or a tar archive that has them somewhere in it, such as
 * another machine's cache.
 *
 * @throws ERR_ENGINE_INSTALL naming the jars that are not in it
 */
export async function takeBroughtJars(
  from: string,
  lib: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const isDirectory = (await stat(from)).isDirectory()
  const unpacked = `${lib}.unpacked`
  if (!isDirectory) {
    await mkdir(unpacked, { recursive: true })
    const tar = await requireProgram('tar')
    await runProgram(tar, ['-xf', from, '-C', unpacked], signal === undefined ? {} : { signal })
  }
  const root = isDirectory ? from : unpacked
  const paths = new Map<string, string>()
  for (const name of await readdir(root, { recursive: true })) {
    if (name.endsWith('.jar')) paths.set(basename(name), join(root, name))
  }
  const missing = JARS.map(jarFile).filter(name => !paths.has(name))
  if (missing.length > 0) {
    throw new TroupeError(
      'ERR_ENGINE_INSTALL',
      `${from} lacks ${missing.length} of ${JARS.length} jars: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}`,
      { data: { from, missing } },
    )
  }
  await mkdir(lib, { recursive: true })
  for (const jar of JARS) {
    const name = jarFile(jar)
    await copyFile(paths.get(name) ?? '', join(lib, name))
  }
  await rm(unpacked, { recursive: true, force: true })
}
