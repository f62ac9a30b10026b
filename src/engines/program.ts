import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, stat } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { TroupeError } from '../errors.js'

/** Of what a program says, so much is kept for an error message: its end. */
const KEPT_CHARACTERS = 2_000

/** The first program of this name on `PATH`. */
export async function findProgram(name: string): Promise<string | undefined> {
  const suffixes = process.platform === 'win32' ? ['.exe', '.cmd', '.bat'] : ['']
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    if (dir === '') continue
    for (const suffix of suffixes) {
      const path = join(dir, name + suffix)
      if (await isProgram(path)) return path
    }
  }
  return undefined
}

/** A file that this user may run? */
export async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

export interface RunOptions {
  readonly cwd?: string
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/**
 * Runs a program to its end.
 *
 * @returns what it wrote to stdout
 * @throws ERR_ENGINE_PROGRAM with the end of what it said, if it cannot be started or ends with another code than 0
 */
export async function runProgram(
  path: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  options.signal?.throwIfAborted()
  const child = spawn(path, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  let out = ''
  let said = ''
  const keep = (text: string): void => {
    said = (said + text).slice(-KEPT_CHARACTERS)
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    keep(text)
  })
  child.stderr.setEncoding('utf8').on('data', keep)
  const stop = (): void => void child.kill('SIGTERM')
  options.signal?.addEventListener('abort', stop)
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    options.signal?.throwIfAborted()
    if (code === 0) return out
    throw failure(
      path,
      args,
      code === null ? `was ended by ${signal ?? 'a signal'}` : `ended with code ${code}`,
      said,
    )
  } catch (error) {
    if (error instanceof Error && 'syscall' in error)
      throw failure(path, args, 'could not be started', '', error)
    throw error
  } finally {
    options.signal?.removeEventListener('abort', stop)
  }
}

function failure(
  path: string,
  args: readonly string[],
  what: string,
  said: string,
  cause?: Error,
): TroupeError {
  const end = said.trim() === '' ? '' : `: ${said.trim()}`
  return new TroupeError('ERR_ENGINE_PROGRAM', `${path} ${args[0] ?? ''} ${what}${end}`, {
    data: { path, args: [...args] },
    cause,
  })
}

/** Can it be run so, and ends with code 0? */
export async function answers(path: string, args: readonly string[]): Promise<boolean> {
  return runProgram(path, args).then(
    () => true,
    () => false,
  )
}

/** @throws ERR_ENGINE_MISSING */
export async function requireProgram(name: string): Promise<string> {
  const path = await findProgram(name)
  if (path !== undefined) return path
  throw new TroupeError('ERR_ENGINE_MISSING', `there is no ${name} on PATH`, { data: { name } })
}
