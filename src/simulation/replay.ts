import { relative } from 'node:path'
import { describe, TroupeError } from '../errors.js'
import type { FaultPlan } from './fault.js'

/** Names the variable that makes an exploration repeat one run. */
export const REPLAY_VARIABLE = 'TROUPE_REPLAY'

/** One run of one exploration. */
export interface Replay {
  /** Of the exploration: a program may hold several. */
  readonly name: string
  readonly seed: number
  readonly faults: FaultPlan
}

/** A line for a shell that repeats the run: this program again, with the run in its environment. */
export function replayLine(replay: Replay): string {
  const script = process.argv[1]
  const value = JSON.stringify(replay).replaceAll("'", String.raw`'\''`)
  const file = script === undefined ? '' : relative(process.cwd(), script)
  const command = process.env['TAP'] === '1' ? `npx tap --disable-coverage ${file}` : `node ${file}`
  return `${REPLAY_VARIABLE}='${value}' ${command}`.trimEnd()
}

/** The run that the environment asks to repeat, if it is one of this exploration. */
export function replayWanted(name: string): Replay | undefined {
  const text = process.env[REPLAY_VARIABLE]
  if (text === undefined || text === '') return undefined
  let replay: unknown
  try {
    replay = JSON.parse(text)
  } catch (cause) {
    throw badReplay(text, cause)
  }
  if (!isReplay(replay)) throw badReplay(text, undefined)
  return replay.name === name ? replay : undefined
}

function isReplay(value: unknown): value is Replay {
  const { name, seed, faults } = (value ?? {}) as Record<string, unknown>
  return typeof name === 'string' && typeof seed === 'number' && Array.isArray(faults)
}

function badReplay(text: string, cause: unknown): TroupeError {
  return new TroupeError(
    'ERR_INVALID_OPTION',
    `${REPLAY_VARIABLE} must be JSON with name, seed and faults, got ${describe(text)}`,
    { cause },
  )
}
