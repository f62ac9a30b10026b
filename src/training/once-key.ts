import { TroupeError } from '../errors.js'

/** Names what a program does once in the job: by its steps so far, what it is called, and how often it was before. */
export function onceKey(steps: number, name: string, call: number): string {
  return `${steps}/${name}/${call}`
}

/**
 * A wait for something that the chief will never do: it has made the step behind the place where it should have.
 *
 * @param chiefSteps steps that the chief has pushed
 * @returns ERR_RANKS_DIVERGED; undefined where the chief may still come to it
 */
export function missedOnce(key: string, chiefSteps: number): TroupeError | undefined {
  const steps = Number.parseInt(key, 10)
  if (chiefSteps <= steps) return undefined
  const [name, call] = [
    key.slice(key.indexOf('/') + 1, key.lastIndexOf('/')),
    key.slice(key.lastIndexOf('/') + 1),
  ]
  return new TroupeError(
    'ERR_RANKS_DIVERGED',
    `a worker waits for '${name}' (call ${Number(call) + 1} after step ${steps}), which is done once in the job; ` +
      `rank 0 went on to step ${chiefSteps} without it`,
    { data: { key, chiefSteps } },
  )
}
