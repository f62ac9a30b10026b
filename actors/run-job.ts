import {
  checkKill,
  defineJob,
  isJobDefinition,
  parseKill,
  TroupeError,
  type BackendName,
  type JobArgs,
  type JobDefinition,
  type KillSpec,
  type Troupe,
} from 'troupe'
import { SupervisedJob, type JobHandle } from './job-handle.js'
import { JobSupervisor } from './job-supervisor.js'
import type { JobSpec } from './job-spec.js'

/** What one run of a job has of its own, over what its definition says. */
export interface RunJobOptions<Args extends object = JobArgs> {
  /** URL of the module that exports the definition as default: each worker's thread imports it. */
  readonly module: string
  /** Of the job's actors: their paths begin with it. @default 'job' */
  readonly name?: string
  readonly workers?: number
  readonly parameterServers?: number
  readonly seed?: number
  /** @default the best that loads */
  readonly backend?: BackendName
  /** Replaces the definition's. @default the definition's */
  readonly kills?: readonly (KillSpec | string)[]
  /** Laid over the definition's. */
  readonly args?: Partial<Args>
}

const DEFAULT_JOB_NAME = 'job'

/**
 * Starts a job on a runtime.
 *
 * @example
 * const job = await runJob(troupe, definition, { module: new URL('./job.js', import.meta.url).href })
 * for await (const event of job.events) if (event.event === 'step') console.log(event.step, event.loss)
 * const { weightsSha256 } = await job.done
 * @throws ERR_JOB_MODULE, ERR_INVALID_OPTION: nothing runs then
 */
export async function runJob<Args extends object>(
  troupe: Troupe,
  definition: JobDefinition<Args>,
  options: RunJobOptions<Args>,
): Promise<JobHandle> {
  const spec = compileSpec(definition, options)
  const supervisor = await troupe.spawn(JobSupervisor, { name: spec.name, args: spec, restart: 'temporary' })
  return new SupervisedJob(spec.name, troupe, supervisor)
}

function compileSpec<Args extends object>(
  definition: JobDefinition<Args>,
  options: RunJobOptions<Args>,
): JobSpec {
  if (!isJobDefinition(definition)) {
    throw new TroupeError('ERR_JOB_MODULE', `${options.module} exports no job definition as default`)
  }
  const { name = DEFAULT_JOB_NAME, module, backend } = options
  const { args, workers, parameterServers, seed, kills } = defineJob<Args>({
    args: { ...definition.args, ...options.args },
    workers: options.workers ?? definition.workers,
    parameterServers: options.parameterServers ?? definition.parameterServers,
    seed: options.seed ?? definition.seed,
    kills: (options.kills ?? definition.kills).map(kill => (typeof kill === 'string' ? kill : kill.text)),
    main: definition.main,
  })
  const planned = kills.map(parseKill)
  for (const kill of planned) checkKill(kill, { workers, parameterServers })
  return {
    name,
    module,
    args: args as JobArgs,
    workers,
    parameterServers,
    seed,
    kills: planned,
    ...(backend === undefined ? {} : { backend }),
  }
}
