import {
  DEFAULT_CHECKPOINT_INTERVAL_MS,
  KILL_FORMS,
  MAX_PARAMETER_SERVERS,
  MAX_SEED,
  MAX_WORKERS,
  parseKill,
  type KillSpec,
} from '../config/index.js'
import { BACKEND_CHOICES, type BackendChoice } from '../tensor/backend-name.js'
import { readCommandLine } from './command-line.js'
import { readJobArg, type JobArgs } from './job-args.js'
import { bound, flag, integer, list, oneOf, text } from './option-spec.js'
import { usageError } from './usage-error.js'

/** The most epochs that can be asked for: a slip of the finger should not run for a year. */
const MAX_EPOCHS = 1_000_000
const MAX_STEPS = 1_000_000_000
/** A day. */
const MAX_INTERVAL_MS = 86_400_000

export const RUN_OPTIONS = {
  workers: integer("workers, instead of the job's own number", { min: 1, max: MAX_WORKERS }),
  servers: integer("parameter servers, instead of the job's own number", {
    min: 1,
    max: MAX_PARAMETER_SERVERS,
  }),
  staleness: bound('steps that a worker may be ahead of the slowest: 0 is exact mode; inf for any number'),
  epochs: integer("epochs, given to the job's main as args.epochs", { min: 1, max: MAX_EPOCHS }),
  seed: integer('seed of rows, randomness and initial values', { min: 0, max: MAX_SEED }),
  backend: oneOf("TensorFlow backend, instead of the job's own; auto: the best that loads", BACKEND_CHOICES),
  kill: list(
    `end an actor at a step, such as ${KILL_FORMS.join(' or ')}; replaces the job's own`,
    'ACTOR@STEP[/PHASE]',
    parseKill,
  ),
  'no-kill': flag('end nobody: leave out what the job kills by itself'),
  checkpoints: text('folder to keep checkpoints in; without one they last as long as the job', 'DIR'),
  'checkpoint-every': integer('steps from one checkpoint to the next, instead of a time', {
    min: 1,
    max: MAX_STEPS,
  }),
  'checkpoint-interval': integer(
    `milliseconds from one checkpoint to the next; ${DEFAULT_CHECKPOINT_INTERVAL_MS} if not given`,
    { min: 1, max: MAX_INTERVAL_MS },
  ),
  resume: flag('go on from the newest whole checkpoint in --checkpoints DIR'),
  'check-determinism': flag('compute each step twice and compare: finds what a restart could not repeat'),
  arg: list("argument of the job's main; also: -- KEY=VALUE …", 'KEY=VALUE', readJobArg),
  json: flag('one JSON object a line'),
  plain: flag('plain lines, also on a terminal'),
} as const

/** What the command line says about a job, over what its definition says. */
export interface JobOverrides {
  readonly workers?: number
  readonly parameterServers?: number
  readonly staleness?: number
  readonly seed?: number
  readonly backend?: BackendChoice
  /** Absent: the job's own. Empty: none. */
  readonly kills?: readonly KillSpec[]
  readonly args: JobArgs
  readonly checkpoints?: {
    /** Relative to where the command was given. */
    readonly directory?: string
    readonly everySteps?: number
    readonly intervalMs?: number
  }
  readonly resume?: boolean
  readonly checkDeterminism?: boolean
}

export interface RunLine {
  /** Path of the job's module. */
  readonly job: string
  readonly overrides: JobOverrides
  readonly view: 'json' | 'plain' | 'auto'
}

/** @throws ERR_USAGE, ERR_INVALID_OPTION */
export function readRunLine(argv: readonly string[]): RunLine {
  const { options, operands, rest } = readCommandLine(argv, RUN_OPTIONS)
  const [job, ...others] = operands
  if (job === undefined) throw usageError('run needs the module of a job: troupe run JOB')
  if (others.length > 0) throw usageError(`run takes one job; got also ${others.join(' ')}`)
  if (options.kill !== undefined && options['no-kill'] === true) {
    throw usageError('--kill and --no-kill contradict each other: give one of them', '--kill')
  }
  if (options.json === true && options.plain === true) {
    throw usageError('--json and --plain contradict each other: give one of them', '--json')
  }
  if (options['checkpoint-every'] !== undefined && options['checkpoint-interval'] !== undefined) {
    throw usageError(
      '--checkpoint-every and --checkpoint-interval contradict each other',
      '--checkpoint-every',
    )
  }
  if (options.resume === true && options.checkpoints === undefined) {
    throw usageError('--resume needs --checkpoints DIR: where to go on from', '--resume')
  }
  const checkpoints = {
    ...(options.checkpoints === undefined ? {} : { directory: options.checkpoints }),
    ...(options['checkpoint-every'] === undefined ? {} : { everySteps: options['checkpoint-every'] }),
    ...(options['checkpoint-interval'] === undefined ? {} : { intervalMs: options['checkpoint-interval'] }),
  }
  const args = Object.fromEntries([...(options.arg ?? []), ...rest.map(readJobArg)])
  if (options.epochs !== undefined) args['epochs'] = options.epochs
  const kills = options['no-kill'] === true ? [] : options.kill
  return {
    job,
    overrides: {
      args,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
      ...(options.servers === undefined ? {} : { parameterServers: options.servers }),
      ...(options.staleness === undefined ? {} : { staleness: options.staleness }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      ...(options.backend === undefined ? {} : { backend: options.backend }),
      ...(kills === undefined ? {} : { kills }),
      ...(Object.keys(checkpoints).length === 0 ? {} : { checkpoints }),
      ...(options.resume === true ? { resume: true } : {}),
      ...(options['check-determinism'] === true ? { checkDeterminism: true } : {}),
    },
    view: options.json === true ? 'json' : options.plain === true ? 'plain' : 'auto',
  }
}
