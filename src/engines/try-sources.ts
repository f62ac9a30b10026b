import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode, TroupeError } from '../errors.js'
import { spaceError } from './disk-space.js'
import type { EngineSource, InstallOptions } from './engine.js'
import { megabytes } from './megabytes.js'

/** A source and the way to use it. */
export interface Attempt {
  readonly source: EngineSource
  /** Fills the directory; what is there when it rejects is removed. */
  readonly fetch: (into: string) => Promise<void>
}

/**
 * Tries one source after the other until one answers.
 *
 * @returns its name
 * @throws ERR_ENGINE_INSTALL with one line a source; at once ERR_ENGINE_DIGEST and ERR_ENGINE_DISK_FULL, which no other
 *   source mends
 */
export async function trySources(
  title: string,
  into: string,
  attempts: readonly Attempt[],
  { report, signal }: Pick<InstallOptions, 'report' | 'signal'>,
): Promise<string> {
  const answers: string[] = []
  for (const { source, fetch } of attempts) {
    signal?.throwIfAborted()
    if (source.unusable !== undefined) {
      answers.push(`${source.name}: ${source.unusable}`)
      continue
    }
    report({ doing: `${source.name}: ${megabytes(source.downloadBytes)} to fetch` })
    try {
      await fetch(into)
      return source.name
    } catch (error) {
      signal?.throwIfAborted()
      if (hasCode(error, 'ERR_ENGINE_DIGEST')) throw error
      const full = spaceError(error, into, title)
      if (full !== undefined) throw full
      answers.push(`${source.name}: ${reason(error)}`)
      await empty(into)
    }
  }
  throw new TroupeError(
    'ERR_ENGINE_INSTALL',
    `${title} could not be installed from any source:\n${answers.map(answer => `  ${answer}`).join('\n')}\n`,
    { data: { title, answers } },
  )
}

/** The message alone, without the remedy, with that of the innermost cause. */
function reason(error: unknown): string {
  const messages: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) {
    const message = at instanceof TroupeError ? at.message.replace(`. Remedy: ${at.remedy}`, '') : at.message
    if (message !== '' && !messages.some(known => known.includes(message))) messages.push(message)
  }
  return messages.length === 0 ? String(error) : messages.join(': ')
}

async function empty(dir: string): Promise<void> {
  for (const name of await readdir(dir)) await rm(join(dir, name), { recursive: true, force: true })
}
