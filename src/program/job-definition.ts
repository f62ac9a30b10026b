import { z } from 'zod'
import {
  DEFAULT_PARAMETER_SERVERS,
  DEFAULT_SEED,
  DEFAULT_STALENESS,
  DEFAULT_WORKERS,
  MAX_PARAMETER_SERVERS,
  MAX_SEED,
  MAX_WORKERS,
  parseKill,
  parseOptions,
} from '../config/index.js'
import { DEFAULT_JOURNAL_MAX_STEPS } from '../training/index.js'
import { BACKEND_CHOICES, type BackendChoice } from '../tensor/index.js'
import type { JobContext } from './job-context.js'

/** Arguments of a job's `main`: from its definition, then from whoever runs it. Plain data. */
export type JobArgs = Readonly<Record<string, unknown>>

export interface JobOptions<Args extends object = JobArgs> {
  /** Workers, each a thread that runs `main`. @default 1 */
  readonly workers?: number
  /** Parameter servers, among which the model is divided. @default 1 */
  readonly parameterServers?: number
  /**
   * How many steps a worker may be ahead of the slowest one. 0 is exact mode: all make each step together, and the
   * weights do not depend on what fails. n lets them be apart by n steps, Infinity by any number: each gradient is
   * applied by itself when it comes, once, and a worker sees its own loss; the weights then depend on timing.
   *
   * @default 0
   */
  readonly staleness?: number
  /** Of rows, randomness and initial values. @default 1 */
  readonly seed?: number
  /** Arguments of `main` that nobody else gave. @default none */
  readonly args?: Args
  /** Workers to be killed on the way, to see them come back, such as `worker-1@150`. @default none */
  readonly kills?: readonly string[]
  /**
   * TensorFlow backend of the workers: `native`, `wasm` or `js`, or `auto`, the first of these that loads. Each has its
   * own results, bit by bit. @default 'auto'
   */
  readonly backend?: BackendChoice
  /**
   * Compute each step twice with the same randomness and compare, bit by bit: finds programs that a successor could not
   * repeat. Costs half the speed. @default false
   */
  readonly checkDeterminism?: boolean
  /**
   * Steps whose results are kept for programs that replay them. Beyond it the oldest epochs keep their logs only: their
   * epoch callbacks are called again, their batch callbacks are not. @default 1,000,000
   */
  readonly journalMaxSteps?: number
  /**
   * Threads kept ready to take over from workers that fail: TensorFlow is loaded in them, which is most of a start, and
   * takes some 90 MB each. null: one from the first failure on. @default null
   */
  readonly spareThreads?: number | null
  /**
   * Where parameter servers and the writing of checkpoints run: `inline`, in the thread of the runtime, which starts
   * at once; or each in a `thread`, which pays off for models of megabytes. @default 'inline'
   */
  readonly serverIsolation?: ServerIsolation
  /**
   * The program of every worker. What it returns on the chief is the job's result; a number `accuracy` in it is
   * shown in the end.
   */
  readonly main: (args: Args, ctx: JobContext) => unknown
}

export type ServerIsolation = 'inline' | 'thread'

const MARK = Symbol.for('troupe.job')

/** A job as {@link defineJob} made it: checked, defaults filled in. */
export interface JobDefinition<Args extends object = JobArgs> extends Required<JobOptions<Args>> {
  readonly [MARK]: true
}

const schema = z.strictObject({
  workers: z.int().min(1).max(MAX_WORKERS).default(DEFAULT_WORKERS),
  parameterServers: z.int().min(1).max(MAX_PARAMETER_SERVERS).default(DEFAULT_PARAMETER_SERVERS),
  staleness: z
    .custom<number>(
      value => value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 0),
      'it must be a whole number from 0, or Infinity',
    )
    .default(DEFAULT_STALENESS),
  seed: z.int().min(0).max(MAX_SEED).default(DEFAULT_SEED),
  args: z.record(z.string(), z.unknown()).default({}),
  kills: z.array(z.string()).default([]),
  backend: z.enum(BACKEND_CHOICES).default('auto'),
  checkDeterminism: z.boolean().default(false),
  journalMaxSteps: z.int().min(1).default(DEFAULT_JOURNAL_MAX_STEPS),
  spareThreads: z.int().min(0).max(MAX_WORKERS).nullable().default(null),
  serverIsolation: z.enum(['inline', 'thread']).default('inline'),
  main: z.custom<JobOptions['main']>(value => typeof value === 'function', 'it must be a function'),
})

/**
 * Describes a training job. A job's module exports it as default; importing the module starts nothing.
 *
 * @example
 * export default defineJob({
 *   workers: 2,
 *   async main(args, ctx) {
 *     const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4] })] })
 *     model.compile({ optimizer: ctx.optimizer('adam', 1e-3), loss: 'meanSquaredError' })
 *     await model.fitDataset(ctx.dataset(data, { batchSize: 32 }), { epochs: 10, verbose: 0 })
 *   },
 * })
 * @throws ERR_INVALID_OPTION
 */
export function defineJob<Args extends object = JobArgs>(options: JobOptions<Args>): JobDefinition<Args> {
  const checked = parseOptions(schema, options, 'job option')
  for (const kill of checked.kills) parseKill(kill)
  return { ...(checked as unknown as Required<JobOptions<Args>>), [MARK]: true }
}

/** Did {@link defineJob} make this, in whatever copy of Troupe? */
export function isJobDefinition(value: unknown): value is JobDefinition {
  return typeof value === 'object' && value !== null && (value as Partial<JobDefinition>)[MARK] === true
}
