import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** The lengths of all files below a directory, added up. */
export async function directoryBytes(dir: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(dir, { recursive: true })) {
    const stats = await lstat(join(dir, entry))
    if (stats.isFile()) bytes += stats.size
  }
  return bytes
}
