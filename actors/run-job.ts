import {
  checkKill,
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
export interface RunJobOptions<Args extends JobArgs = JobArgs> {
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
export async function runJob<Args extends JobArgs>(
  troupe: Troupe,
  definition: JobDefinition<Args>,
  options: RunJobOptions<Args>,
): Promise<JobHandle> {
  const spec = compileSpec(definition, options)
  const supervisor = await troupe.spawn(JobSupervisor, { name: spec.name, args: spec, restart: 'temporary' })
  return new SupervisedJob(spec.name, troupe, supervisor)
}

function compileSpec<Args extends JobArgs>(
  definition: JobDefinition<Args>,
  options: RunJobOptions<Args>,
): JobSpec {
  if (!isJobDefinition(definition)) {
    throw new TroupeError('ERR_JOB_MODULE', `${options.module} exports no job definition as default`)
  }
  const { workers = definition.workers, parameterServers = definition.parameterServers, backend } = options
  const kills = (options.kills ?? definition.kills).map(kill =>
    typeof kill === 'string' ? parseKill(kill) : kill,
  )
  for (const kill of kills) checkKill(kill, { workers, parameterServers })
  return {
    name: options.name ?? DEFAULT_JOB_NAME,
    module: options.module,
    args: { ...definition.args, ...options.args },
    workers,
    parameterServers,
    seed: options.seed ?? definition.seed,
    kills,
    ...(backend === undefined ? {} : { backend }),
  }
}
