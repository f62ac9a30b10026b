import type * as Tfjs from '@tensorflow/tfjs'
import type { DatasetDescriptor } from '../data/index.js'
import { describe, TroupeError } from '../errors.js'
import { optimizerSpec, type OptimizerOptions } from '../training/index.js'
import { createBlockingOptimizer } from './blocking-optimizer.js'
import type { HostLink } from './host-link.js'
import type { Batch, DatasetOptions, JobContext, JobFence, JobLog, JobSummary } from './job-context.js'
import { dealDataset } from './dealt-dataset.js'
import type { OnceJournal } from './once-journal.js'
import { ProgramSummary } from './program-summary.js'
import { openRankDataset } from './rank-dataset.js'
import type { ProgramSpec } from './protocol.js'
import type { TrainingSession } from './training-session.js'

/** Everything a context stands on. */
export interface ContextParts {
  readonly tf: typeof Tfjs
  readonly session: TrainingSession
  readonly link: HostLink
  readonly onces: OnceJournal
  readonly spec: ProgramSpec
  readonly signal: AbortSignal
}

/** What a program's `main` is given. */
export class ProgramContext implements JobContext {
  readonly role: 'chief' | 'worker'
  readonly rank: number
  readonly numWorkers: number
  readonly seed: number
  readonly signal: AbortSignal
  readonly log: JobLog
  readonly summary: JobSummary = new ProgramSummary()
  readonly #spec: ProgramSpec
  readonly #tf: typeof Tfjs
  readonly #session: TrainingSession
  readonly #link: HostLink
  readonly #onces: OnceJournal
  /** Of each name, how many optimizers there are. */
  readonly #optimizers = new Map<string, number>()
  #datasets = 0

  constructor({ tf, session, link, onces, spec, signal }: ContextParts) {
    this.#spec = spec
    this.#tf = tf
    this.#session = session
    this.#link = link
    this.#onces = onces
    this.role = spec.rank === 0 ? 'chief' : 'worker'
    this.rank = spec.rank
    this.numWorkers = spec.workers
    this.seed = spec.seed
    this.signal = signal
    this.log = sessionLog(session, link)
  }

  get replaying(): boolean {
    return this.#session.replaying
  }

  optimizer(name: string, options: number | OptimizerOptions = {}): Tfjs.Optimizer {
    const count = this.#optimizers.get(name) ?? 0
    const spec = optimizerSpec(`${name}-${count}`, name, options)
    this.#optimizers.set(name, count + 1)
    return createBlockingOptimizer(this.#tf, this.#session, spec)
  }

  get fence(): JobFence {
    const { generation, incarnation } = this.#spec
    return { generation, incarnation, step: this.#session.steps }
  }

  dataset(descriptor: DatasetDescriptor, options: DatasetOptions): Tfjs.data.Dataset<Batch>
  dataset<T extends Tfjs.TensorContainer>(batches: Tfjs.data.Dataset<T>): Tfjs.data.Dataset<T>
  dataset(
    rows: DatasetDescriptor | Tfjs.data.Dataset<Tfjs.TensorContainer>,
    options?: DatasetOptions,
  ): Tfjs.data.Dataset<Tfjs.TensorContainer> {
    if (rows instanceof this.#tf.data.Dataset)
      return dealDataset(this.#tf, this.#session, this.numWorkers, rows)
    if (options === undefined) {
      throw new TroupeError('ERR_INVALID_OPTION', 'ctx.dataset of a descriptor needs { batchSize }')
    }
    return this.#open(rows, options)
  }

  #open(descriptor: DatasetDescriptor, options: DatasetOptions): Tfjs.data.Dataset<Batch> {
    const index = this.#datasets
    this.#datasets += 1
    return openRankDataset(this.#tf, this.#session, this.#link, this.rank, index, descriptor, options)
  }

  partition<T extends readonly Tfjs.Tensor[]>(...tensors: T): T {
    const rows = tensors.map(tensor => tensor.shape[0])
    const [first] = rows
    if (first === undefined || rows.some(count => count !== first)) {
      throw new TroupeError(
        'ERR_INVALID_OPTION',
        `partition needs tensors of as many rows; got ${describe(rows)}`,
      )
    }
    const share = Math.floor(first / this.numWorkers)
    if (share === 0) {
      throw new TroupeError(
        'ERR_INVALID_OPTION',
        `partition cannot deal ${first} rows to ${this.numWorkers} workers`,
      )
    }
    const dealt = share * this.numWorkers
    if (dealt < first) this.log.warn(`partition leaves out the last ${first - dealt} of ${first} rows`)
    return tensors.map(tensor => this.#deal(tensor, share)) as unknown as T
  }

  async once<T>(name: string, fn: () => T | Promise<T>): Promise<T> {
    return this.#onces.once({ name: `once ${name}`, run: fn })
  }

  async checkpoint(): Promise<void> {
    const { steps: step } = this.#session
    if (step > 0)
      await this.#onces.once({ name: 'checkpoint', run: () => this.#link.ask({ ask: 'checkpoint', step }) })
  }

  /** Rows rank, rank + R, rank + 2R, …: seen as [share, R, …], the column of this rank. */
  #deal(tensor: Tfjs.Tensor, share: number): Tfjs.Tensor {
    const tf = this.#tf
    const [, ...row] = tensor.shape
    const size = row.reduce((product, length) => product * length, 1)
    return tf.tidy(() =>
      tensor
        .slice(0, share * this.numWorkers)
        .reshape([share, this.numWorkers, size])
        .slice([0, this.rank, 0], [share, 1, size])
        .reshape([share, ...row]),
    )
  }
}

function sessionLog(session: TrainingSession, link: HostLink): JobLog {
  const say = (level: keyof JobLog) => (message: string) => {
    if (!session.replaying) link.tell({ tell: 'log', level, message })
  }
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
}
