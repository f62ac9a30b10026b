import { readFile } from 'node:fs/promises'
import process from 'node:process'

/**
 * Does this process still run? Ids are used again: its start time tells two of the same id apart.
 *
 * @param startTicks what {@link processStart} said of it; left out, any process of this id counts
 */
export async function isRunning(pid: number, startTicks?: string): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return startTicks === undefined || (await processStart(pid)) === startTicks
}

/** When a process started, in clock ticks since the machine did; empty where there is no /proc. */
export async function processStart(pid: number): Promise<string> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // the second field is the program's name in parentheses, and may hold anything
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
