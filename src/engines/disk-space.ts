import { mkdir, statfs } from 'node:fs/promises'
import { TroupeError } from '../errors.js'
import { megabytes } from './megabytes.js'

/**
 * Refuses an installation that cannot fit, before it begins.
 *
 * @throws ERR_ENGINE_DISK_FULL
 */
export async function requireSpace(dir: string, bytes: number, title: string): Promise<void> {
  if (!Number.isFinite(bytes)) return
  await mkdir(dir, { recursive: true })
  const { bavail, bsize } = await statfs(dir)
  const free = bavail * bsize
  if (free >= bytes) return
  throw new TroupeError(
    'ERR_ENGINE_DISK_FULL',
    `${title} needs ${megabytes(bytes)} in ${dir}, where ${megabytes(free)} are free`,
    { data: { dir, bytes, free } },
  )
}

/** The error to throw instead, if this one says that the disk became full on the way. */
export function spaceError(error: unknown, dir: string, title: string): TroupeError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT' || /No space left on device/i.test(at.message)) {
      return new TroupeError(
        'ERR_ENGINE_DISK_FULL',
        `the disk of ${dir} became full while ${title} was installed`,
        {
          data: { dir },
          cause: error,
        },
      )
    }
  }
  return undefined
}
