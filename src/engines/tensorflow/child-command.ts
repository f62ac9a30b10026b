import { spawn } from 'node:child_process'
import process from 'node:process'

/** How a command ended. */
export interface CommandEnd {
  /** Null if there is no such program, or a signal ended it. */
  readonly code: number | null
  readonly missing: boolean
  readonly stdout: string
  /** The end of what it said, on both streams: errors come last. */
  readonly tail: string
}

export interface CommandOptions {
  readonly cwd?: string
  /** Laid over the process's own. */
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
}

const TAIL_CHARS = 2_000

/**
 * Runs a program to its end, without a shell or input.
 *
 * @throws the signal's reason if it was aborted
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  { cwd, env, signal }: CommandOptions = {},
): Promise<CommandEnd> {
  signal?.throwIfAborted()
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    ...(signal === undefined ? {} : { signal }),
  })
  let [stdout, tail] = ['', '']
  const hear = (text: string): void => void (tail = (tail + text).slice(-TAIL_CHARS))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    hear(text)
  })
  child.stderr.setEncoding('utf8').on('data', hear)
  const end = await new Promise<CommandEnd>(resolve => {
    let failure: NodeJS.ErrnoException | undefined
    child.on('error', (error: NodeJS.ErrnoException) => {
      failure = error
      // without a process there is no 'close'
      if (child.pid === undefined)
        resolve({ code: null, missing: error.code === 'ENOENT', stdout, tail: error.message })
    })
    child.on('close', code =>
      resolve({ code, missing: false, stdout, tail: tail.trim() || `${failure ?? ''}` }),
    )
  })
  signal?.throwIfAborted()
  return end
}
