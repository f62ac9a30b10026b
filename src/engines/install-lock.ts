import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import process from 'node:process'
import type { Clock } from '../determinism/index.js'
import { pause } from './pause.js'
import { isRunning, processStart } from './running-process.js'

/** How often one that waits looks again. */
const POLL_MS = 100

/** The holder touches its lock this often. */
const TOUCH_MS = 2_000

/** Tells apart those of one process. */
let attempts = 0

/** A holder on another machine that has not touched its lock for so long is taken for dead. */
const SILENT_MS = 60_000

/**
 * Spares two installations that run at once the double work. It guards nothing: each works in a directory of its own, and
 * the rename at the end has one winner. So a lock that was broken in error costs time, never files.
 *
 * @param waiting called once if somebody else holds the lock, with the holder's process id
 */
export async function withInstallLock<T>(
  path: string,
  clock: Clock,
  work: () => Promise<T>,
  options: { waiting?: (pid: number) => void; signal?: AbortSignal } = {},
): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  const mine = `${process.pid} ${hostname()} ${await processStart(process.pid)} ${++attempts}`
  let told = false
  while (!(await take(path, mine))) {
    options.signal?.throwIfAborted()
    const held = await readFile(path, 'utf8').catch(() => undefined)
    if (held === undefined) continue
    if (await isDead(path, held, clock)) await breakLock(path, held)
    else {
      if (!told) options.waiting?.(Number.parseInt(held, 10))
      told = true
      await pause(clock, POLL_MS)
    }
  }
  const stopTouching = touching(path, clock)
  try {
    return await work()
  } finally {
    stopTouching()
    await release(path, mine)
  }
}

/** A hard link either appears with its whole content or is refused. */
async function take(path: string, content: string): Promise<boolean> {
  const own = `${path}.${content.replaceAll(' ', '-')}`
  await writeFile(own, content)
  try {
    await link(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(own, { force: true })
  }
}

async function isDead(path: string, held: string, clock: Clock): Promise<boolean> {
  const [pid, host, ticks] = held.split(' ')
  if (host === hostname()) return !(await isRunning(Number(pid), ticks))
  const touched = await stat(path).catch(() => undefined)
  return touched !== undefined && clock.now() - touched.mtimeMs > SILENT_MS
}

/** Of several that judge it dead, one moves it away; whoever moved a younger lock puts it back. */
async function breakLock(path: string, judged: string): Promise<void> {
  const aside = `${path}.${process.pid}.dead`
  try {
    await rename(path, aside)
  } catch {
    return
  }
  const moved = await readFile(aside, 'utf8')
  if (moved !== judged) await link(aside, path).catch(() => undefined)
  await rm(aside, { force: true })
}

async function release(path: string, mine: string): Promise<void> {
  const held = await readFile(path, 'utf8').catch(() => undefined)
  if (held === mine) await rm(path, { force: true })
}

function touching(path: string, clock: Clock): () => void {
  const touch = (): void => {
    const now = new Date(clock.now())
    utimes(path, now, now).catch(() => undefined)
    timer = next()
  }
  const next = () => {
    const timer = clock.after(TOUCH_MS, touch)
    timer.hold(false)
    return timer
  }
  let timer = next()
  return () => timer.cancel()
}
