import { describe, TroupeError } from '../errors.js'

/**
 * A planned kill: which actor of a job ends, as if its machine died, and when.
 * Plain data; `text` is what the person wrote and what events show.
 */
export interface KillSpec {
  readonly text: string
  /** Name within the job, such as `worker-1`. */
  readonly actor: string
  /** The step that is open then, counted from 1. */
  readonly step: number
  /** In the middle of pushing: the gradient has reached this parameter server and no later one. Absent: at the step's begin. */
  readonly afterPushTo?: string
}

/** The forms that {@link parseKill} accepts, for messages and help. */
export const KILL_FORMS = ['worker-1@150', 'worker-1@150/after-push:ps-0'] as const

const FORM = /^(worker-\d+)@(\d+)(?:\/after-push:(ps-\d+))?$/

/**
 * Reads `ACTOR@STEP` or `ACTOR@STEP/after-push:SERVER`.
 *
 * @throws ERR_INVALID_OPTION with the accepted forms and the text got
 */
export function parseKill(text: string): KillSpec {
  const match = FORM.exec(text)
  const step = Number(match?.[2])
  if (match === null || !Number.isSafeInteger(step) || step < 1) {
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `a kill must be ACTOR@STEP or ACTOR@STEP/PHASE with a step of at least 1, such as ${KILL_FORMS.join(' or ')}; got ${describe(text)}`,
      { data: { option: 'kill', value: text } },
    )
  }
  const server = match[3]
  return { text, actor: match[1] as string, step, ...(server === undefined ? {} : { afterPushTo: server }) }
}

/** Throws ERR_INVALID_OPTION when the job has no such actor. */
export function checkKill(kill: KillSpec, job: { workers: number; parameterServers: number }): void {
  checkActor(kill, kill.actor, 'worker', job.workers)
  if (kill.afterPushTo !== undefined) checkActor(kill, kill.afterPushTo, 'ps', job.parameterServers)
}

function checkActor(kill: KillSpec, name: string, role: string, count: number): void {
  const index = Number(name.slice(role.length + 1))
  if (index < count && name === `${role}-${index}`) return
  const known = count === 1 ? `${role}-0` : `${role}-0 to ${role}-${count - 1}`
  throw new TroupeError('ERR_INVALID_OPTION', `kill ${kill.text}: the job has no ${name}; it has ${known}`, {
    data: { option: 'kill', value: kill.text },
  })
}
