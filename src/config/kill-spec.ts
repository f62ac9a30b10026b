import { describe, TroupeError } from '../errors.js'

/** What may be under way at the place of a kill. */
export type FaultPhase = 'checkpoint' | 'validation' | 'save' | 'recovery'

/**
 * A planned kill: which actor of a job ends, as if its machine died, and when.
 * Plain data; `text` is what the person wrote and what events show.
 */
export interface KillSpec {
  readonly text: string
  /** Name within the job, such as `worker-1`, `ps-0`, `feeder`, `supervisor`. */
  readonly actor: string
  /** The step that is open then, counted from 1; with `during` the earliest. */
  readonly step: number
  /**
   * In the middle of pushing: the worker's gradient has reached this parameter server and no later one. Absent (and no
   * `during`): at the step's begin.
   */
  readonly afterPushTo?: string
  /** While that is done the next time: not only by the actor that ends. */
  readonly during?: FaultPhase
  /** With `during: 'recovery'`: the actor that comes back. */
  readonly recovering?: string
}

/** A place where kills happen, as whoever reaches it describes it. */
export interface FaultPoint {
  /** Who stands there; absent where any actor may end. */
  readonly actor?: string
  /** The step that is open, counted from 1. */
  readonly step: number
  readonly afterPushTo?: string
  readonly during?: FaultPhase
  readonly recovering?: string
  /** Kills of earlier steps happen here as well: the place may be passed by without being seen. */
  readonly late?: boolean
}

/** The forms that {@link parseKill} accepts, for messages and help. */
export const KILL_FORMS = [
  'worker-1@150',
  'ps-0@200',
  'feeder@250',
  'supervisor@300',
  'worker-1@150/after-push:ps-0',
  'ps-0@150/during-checkpoint',
  'worker-0@150/during-validation',
  'worker-0@150/during-save',
  'ps-1@150/during-recovery:worker-1',
] as const

const ACTOR = String.raw`worker-\d+|ps-\d+|feeder|supervisor`
const FORM = new RegExp(
  String.raw`^(?<actor>${ACTOR})@(?<step>\d+)` +
    String.raw`(?:/(?:after-push:(?<server>ps-\d+)|during-(?<during>checkpoint|validation|save)|during-recovery:(?<recovering>${ACTOR})))?$`,
)

/**
 * Reads `ACTOR@STEP` or `ACTOR@STEP/PHASE`.
 *
 * @throws ERR_INVALID_OPTION with the accepted forms and the text got
 */
export function parseKill(text: string): KillSpec {
  const found = FORM.exec(text)?.groups
  const step = Number(found?.['step'])
  const actor = found?.['actor']
  const server = found?.['server']
  if (actor === undefined || !Number.isSafeInteger(step) || step < 1) {
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `a kill must be ACTOR@STEP or ACTOR@STEP/PHASE with a step of at least 1, such as ${KILL_FORMS.join(' or ')}; got ${describe(text)}`,
      { data: { option: 'kill', value: text } },
    )
  }
  if (server !== undefined && !actor.startsWith('worker-')) throw misfit(text, `${actor} pushes nothing`)
  const during = found?.['during'] as FaultPhase | undefined
  const recovering = found?.['recovering']
  return {
    text,
    actor,
    step,
    ...(server === undefined ? {} : { afterPushTo: server }),
    ...(during === undefined ? {} : { during }),
    ...(recovering === undefined ? {} : { during: 'recovery', recovering }),
  }
}

/** Throws ERR_INVALID_OPTION when the job has no such actor. */
export function checkKill(kill: KillSpec, job: { workers: number; parameterServers: number }): void {
  for (const name of [kill.actor, kill.afterPushTo, kill.recovering]) {
    if (name === undefined) continue
    if (name.startsWith('worker-')) checkActor(kill, name, 'worker', job.workers)
    else if (name.startsWith('ps-')) checkActor(kill, name, 'ps', job.parameterServers)
  }
}

/** The first of the kills that happens at this place. */
export function killAt(kills: readonly KillSpec[], point: FaultPoint): KillSpec | undefined {
  return kills.find(
    kill =>
      (point.actor === undefined || kill.actor === point.actor) &&
      kill.afterPushTo === point.afterPushTo &&
      kill.during === point.during &&
      kill.recovering === point.recovering &&
      (kill.during === undefined && point.late !== true ? kill.step === point.step : kill.step <= point.step),
  )
}

function checkActor(kill: KillSpec, name: string, role: string, count: number): void {
  const index = Number(name.slice(role.length + 1))
  if (index < count && name === `${role}-${index}`) return
  const known = count === 1 ? `${role}-0` : `${role}-0 to ${role}-${count - 1}`
  throw misfit(kill.text, `the job has no ${name}; it has ${known}`)
}

function misfit(text: string, why: string): TroupeError {
  return new TroupeError('ERR_INVALID_OPTION', `kill ${text}: ${why}`, {
    data: { option: 'kill', value: text },
  })
}
