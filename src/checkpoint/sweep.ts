import { generationFolder, joinPath, parseGenerationFolder, TEMPORARY_FOLDER } from './directory-names.js'
import type { CheckpointFiles } from './files.js'

/** @default of `staleAfterMs`: an attempt that was not written to for this long has no writer any more. */
export const DEFAULT_STALE_ATTEMPT_MS = 60 * 60 * 1000

/** What is on its way out: no writer commits from there. */
const REMOVED = 'removed-'
/** A file that is written to learn the time. */
const CLOCK = 'clock.'

/**
 * Removes left-over attempts: see `CheckpointStore.sweep`. A slow writer whose attempt is taken away finds its folder
 * gone as a whole, since it is renamed before it is removed, and so cannot commit a part of it.
 *
 * @param name unique to this call
 * @param isOpen is this folder an attempt of the caller's own?
 */
export async function sweep(
  files: CheckpointFiles,
  staleAfterMs: number,
  name: string,
  isOpen: (directory: string) => boolean,
): Promise<string[]> {
  const roots = ((await files.list('')) ?? []).flatMap(entry => parseGenerationFolder(entry.name) ?? [])
  const closed = new Set(roots.filter(root => root.closed).map(root => root.generation))
  const swept: string[] = []
  for (const root of roots) {
    const dead = closed.has(root.generation)
    const folder = generationFolder(root.generation, root.closed)
    if (dead && !root.closed) {
      // Made anew by a late writer after the generation was closed; readers do not look into it.
      await files.remove(folder)
      swept.push(folder)
      continue
    }
    const temporary = joinPath(folder, TEMPORARY_FOLDER)
    let nowMs: number | undefined
    for (const entry of (await files.list(temporary)) ?? []) {
      const directory = joinPath(temporary, entry.name)
      if (!entry.directory) {
        // Of a sweep that died, or of one that is under way: without its clock that one finds nothing old enough.
        if (entry.name.startsWith(CLOCK)) await files.remove(directory)
        continue
      }
      if (isOpen(directory)) continue
      if (!dead && !entry.name.startsWith(REMOVED)) {
        nowMs ??= await clockOf(files, joinPath(temporary, `${CLOCK}${name}`))
        if (nowMs - (await lastWriteMs(files, directory)) < staleAfterMs) continue
      }
      await removeWhole(files, temporary, entry.name, name)
      swept.push(directory)
    }
  }
  return swept
}

async function removeWhole(
  files: CheckpointFiles,
  temporary: string,
  attempt: string,
  name: string,
): Promise<void> {
  const directory = joinPath(temporary, attempt)
  if (attempt.startsWith(REMOVED)) return files.remove(directory)
  const doomed = joinPath(temporary, `${REMOVED}${attempt}.${name}`)
  if ((await files.renameExclusive(directory, doomed)) === 'done') await files.remove(doomed)
}

/** The time by the file system's own clock, which may differ from this machine's: that of a file written now. */
async function clockOf(files: CheckpointFiles, path: string): Promise<number> {
  const sink = await files.create(path)
  await sink.close()
  const stat = await files.stat(path)
  await files.remove(path)
  return stat?.modifiedMs ?? 0
}

async function lastWriteMs(files: CheckpointFiles, directory: string): Promise<number> {
  const names = ((await files.list(directory)) ?? []).map(entry => joinPath(directory, entry.name))
  let last = 0
  for (const path of [directory, ...names]) last = Math.max(last, (await files.stat(path))?.modifiedMs ?? 0)
  return last
}
