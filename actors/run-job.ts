import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  checkKill,
  chooseKernelSettings,
  DEFAULT_CHECKPOINT_INTERVAL_MS,
  DEFAULT_KEEP_LAST,
  defineJob,
  hasCode,
  isJobDefinition,
  parseKill,
  parseOptions,
  TroupeError,
  type BackendChoice,
  type JobArgs,
  type JobDefinition,
  type KillSpec,
  type ServerIsolation,
  type Troupe,
} from 'troupe'
import { z } from 'zod'
import { Chaos, type Executioner } from './chaos.js'
import { SupervisedJob, type JobHandle } from './job-handle.js'
import { CHAOS_SUFFIX, type CheckpointPlan, type JobSpec } from './job-spec.js'
import { JobSupervisor } from './job-supervisor.js'

/** Where and how often a job writes checkpoints. */
export interface CheckpointOptions {
  /**
   * Where: a folder, or an `hdfs://`, `webhdfs://` or `swebhdfs://` URL. Without one they lie in a folder of the
   * machine's temporary ones, for the job's own failures, and are removed when it ends.
   */
  readonly directory?: string
  /** After each so many steps. @default by time */
  readonly everySteps?: number
  /** Milliseconds from one to the next. @default 2000 */
  readonly intervalMs?: number
  /** How many of the newest are kept. @default 3 */
  readonly keepLast?: number
}

/** What one run of a job has of its own, over what its definition says. */
export interface RunJobOptions<Args extends object = JobArgs> {
  /** URL of the module that exports the definition as default: each worker's thread imports it. */
  readonly module: string
  /** Of the job's actors: their paths begin with it. @default 'job' */
  readonly name?: string
  readonly workers?: number
  readonly parameterServers?: number
  /** @default the definition's */
  readonly staleness?: number
  readonly seed?: number
  /** TensorFlow backend of the workers. @default the definition's */
  readonly backend?: BackendChoice
  /** Replaces the definition's. @default the definition's */
  readonly kills?: readonly (KillSpec | string)[]
  /** Compute each step twice and compare. @default the definition's */
  readonly checkDeterminism?: boolean
  /** Threads kept ready for workers that fail. @default the definition's */
  readonly spareThreads?: number | null
  readonly serverIsolation?: ServerIsolation
  /** Laid over the definition's. */
  readonly args?: Partial<Args>
  readonly checkpoints?: CheckpointOptions
  /** Goes on from the newest whole checkpoint in {@link CheckpointOptions.directory}. @default false */
  readonly resume?: boolean
}

const DEFAULT_JOB_NAME = 'job'

const checkpointSchema = z.strictObject({
  directory: z.string().min(1).optional(),
  everySteps: z.int().min(1).optional(),
  intervalMs: z.int().min(1).default(DEFAULT_CHECKPOINT_INTERVAL_MS),
  keepLast: z.int().min(1).default(DEFAULT_KEEP_LAST),
})

/** Tells the runs of this process apart. */
let runs = 0

/**
 * Starts a job on a runtime.
 *
 * @example
 * const job = await runJob(troupe, definition, { module: new URL('./job.js', import.meta.url).href })
 * for await (const event of job.events) if (event.event === 'step') console.log(event.step, event.loss)
 * const { weightsSha256 } = await job.done
 * @throws ERR_JOB_MODULE, ERR_INVALID_OPTION, ERR_RESUME, ERR_CHECKPOINT_NONE: nothing runs then
 */
export async function runJob<Args extends object>(
  troupe: Troupe,
  definition: JobDefinition<Args>,
  options: RunJobOptions<Args>,
): Promise<JobHandle> {
  const spec = await compileSpec(definition, options)
  const chaos =
    spec.kills.length === 0
      ? undefined
      : await troupe.spawn(Chaos, {
          name: `${spec.name}${CHAOS_SUFFIX}`,
          args: { kills: spec.kills, jobPath: `/${spec.name}`, executioner: executioner(troupe) },
          restart: 'temporary',
        })
  const free = async (): Promise<void> => {
    if (chaos !== undefined) await troupe.stop(chaos)
    if (spec.checkpoints.temporary) await removeQuietly(spec.checkpoints.place)
  }
  try {
    // Its failure is the job's; killed, it takes the job over from itself.
    const options = { name: spec.name, args: spec, restart: 'failover' } as const
    return new SupervisedJob(spec.name, troupe, await troupe.spawn(JobSupervisor, options), free)
  } catch (error) {
    await free()
    throw hasCode(error, 'ERR_ACTOR_START') ? error.cause : error
  }
}

async function compileSpec<Args extends object>(
  definition: JobDefinition<Args>,
  options: RunJobOptions<Args>,
): Promise<JobSpec> {
  if (!isJobDefinition(definition)) {
    throw new TroupeError('ERR_JOB_MODULE', `${options.module} exports no job definition as default`)
  }
  const { name = DEFAULT_JOB_NAME, module } = options
  const compiled = defineJob<Args>({
    args: { ...definition.args, ...options.args },
    workers: options.workers ?? definition.workers,
    parameterServers: options.parameterServers ?? definition.parameterServers,
    staleness: options.staleness ?? definition.staleness,
    seed: options.seed ?? definition.seed,
    kills: (options.kills ?? definition.kills).map(kill => (typeof kill === 'string' ? kill : kill.text)),
    checkDeterminism: options.checkDeterminism ?? definition.checkDeterminism,
    journalMaxSteps: definition.journalMaxSteps,
    backend: options.backend ?? definition.backend,
    spareThreads: options.spareThreads === undefined ? definition.spareThreads : options.spareThreads,
    serverIsolation: options.serverIsolation ?? definition.serverIsolation,
    main: definition.main,
  })
  const {
    workers,
    parameterServers,
    staleness,
    seed,
    backend,
    checkDeterminism,
    journalMaxSteps,
    spareThreads,
    serverIsolation,
  } = compiled
  const planned = compiled.kills.map(parseKill)
  for (const kill of planned) checkKill(kill, { workers, parameterServers })
  const checkpoints = await checkpointPlan(options.checkpoints ?? {}, options.resume ?? false)
  return {
    name,
    run: `${name}#${++runs}`,
    module,
    moduleSha256: await digest(module),
    args: compiled.args as JobArgs,
    workers,
    parameterServers,
    staleness,
    seed,
    kills: planned,
    checkDeterminism,
    journalMaxSteps,
    ...(spareThreads === null ? {} : { spareThreads }),
    serverIsolation,
    checkpoints,
    ...(backend === 'auto' ? {} : { backend }),
    kernels: chooseKernelSettings(workers),
  }
}

async function checkpointPlan(given: CheckpointOptions, resume: boolean): Promise<CheckpointPlan> {
  const { directory, everySteps, intervalMs, keepLast } = parseOptions(
    checkpointSchema,
    given,
    'checkpoint option',
  )
  if (resume && directory === undefined) {
    throw new TroupeError('ERR_INVALID_OPTION', 'resume needs checkpoints.directory: where to go on from', {
      data: { option: 'resume' },
    })
  }
  const place = directory ?? (await mkdtemp(join(tmpdir(), 'troupe-job-')))
  const temporary = directory === undefined
  return { place, temporary, everySteps: everySteps ?? null, intervalMs, keepLast, resume }
}

/** What cannot be removed stays among the machine's temporary files: no reason for a job to fail. */
async function removeQuietly(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined)
}

/** A job that goes on after its module has changed may compute otherwise. */
async function digest(module: string): Promise<string | null> {
  try {
    return createHash('sha256')
      .update(await readFile(new URL(module)))
      .digest('hex')
  } catch {
    return null
  }
}

function executioner(troupe: Troupe): Executioner {
  return {
    exists: path => exists(troupe, path),
    kill: path => void troupe.kill(troupe.lookup(JobSupervisor, path), { blameless: true }),
  }
}

function exists(troupe: Troupe, path: string): boolean {
  let at = [troupe.inspect()]
  for (const name of path.split('/').slice(1))
    at = at.flatMap(view => view.children).filter(view => view.path.endsWith(`/${name}`))
  return at.length > 0
}
