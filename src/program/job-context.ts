import type * as Tfjs from '@tensorflow/tfjs'
import type { DatasetDescriptor } from '../data/index.js'
import type { OptimizerOptions } from '../training/index.js'

/** What a job's `main` is given beside its arguments: its part in the job. One for each worker. */
export interface JobContext {
  /** `chief` for the worker of rank 0: its initial values are everyone's, and what it returns is the result. */
  readonly role: 'chief' | 'worker'
  /** From 0. Do not let the model or the steps depend on it. */
  readonly rank: number
  readonly numWorkers: number
  readonly seed: number
  /** Whether the program is being taken through steps that were made before its worker failed. */
  readonly replaying: boolean
  /**
   * What an effect outside of Troupe can check: whoever holds a lower fence belongs to a past that was cut off. See
   * {@link JobFence}.
   */
  readonly fence: JobFence
  /** Figures for people; kept by nobody yet. */
  readonly summary: JobSummary
  /** Aborts when the job stops. */
  readonly signal: AbortSignal
  /** Silent while replaying. `console` in a program goes here too. */
  readonly log: JobLog
  /**
   * An optimizer that lives on the parameter servers: `sgd`, `momentum`, `nesterov`, `adagrad`, `rmsprop`, `adam`, `adamw`
   * or `ftrl`, with Keras's defaults. Give it to `model.compile()`, or call its `minimize()`.
   *
   * @param options learning rate, or options by name; `learningRate` may be a schedule. Each has `weightDecay` and one
   * of `clipValue`, `clipNorm` (of each variable) and `globalClipNorm` (of all that the optimizer trains)
   * @throws ERR_OPTIMIZER, ERR_INVALID_OPTION
   */
  optimizer(name: string, options?: number | OptimizerOptions): Tfjs.Optimizer
  /**
   * This worker's batches of a dataset, as `{ xs, ys }`, for `model.fitDataset()`. Each iteration is the next epoch:
   * over all workers, every row is in exactly one batch of it. Shuffle and batch here, not behind it.
   *
   * @throws ERR_DATASET, ERR_DATA_READ, ERR_DATA_FORMAT, ERR_INVALID_OPTION
   */
  dataset(descriptor: DatasetDescriptor, options: DatasetOptions): Tfjs.data.Dataset<Batch>
  /**
   * The batches of the program's own `tf.data` dataset, dealt to the workers in turn: a step of R workers takes R of
   * them. Shuffle, filter, batch and prefetch before, not behind it. Every worker draws the whole dataset, also while
   * it replays.
   *
   * @throws ERR_DATASET for a dataset of single rows
   */
  dataset<T extends Tfjs.TensorContainer>(batches: Tfjs.data.Dataset<T>): Tfjs.data.Dataset<T>
  /**
   * Deals the rows of tensors among the workers like cards: each gets the same number; what is left over is left out
   * and logged. The tensors given are kept.
   */
  partition<T extends readonly Tfjs.Tensor[]>(...tensors: T): T
  /**
   * Runs `fn` on the chief alone; every worker gets what it returned, which must be plain data. For what should
   * happen once in a job: a figure that steers the program, a file that is written. If the chief is killed in it, `fn`
   * runs again; once its result is kept, never. Training steps and batches of `dataset` have no place in it.
   *
   * `model.evaluate`, `model.evaluateDataset`, validations and `model.save` do so by themselves.
   *
   * @throws ERR_RANKS_DIVERGED if the chief goes on without asking for it, ERR_PAYLOAD if the result is not plain data
   */
  once<T>(name: string, fn: () => T | Promise<T>): Promise<T>
  /**
   * Writes a checkpoint of the job as it stands between these two steps, and waits until it is there: beside those that
   * are written by plan. All workers call it; the chief asks. Before the first step there is nothing to keep.
   *
   * @throws ERR_CHECKPOINT_IO
   */
  checkpoint(): Promise<void>
}

/**
 * Names who acts, in an order that only grows: by generation, then incarnation, then step. A store outside of Troupe that
 * keeps the highest fence it has seen, and refuses lower ones, is safe from a worker that was declared dead and is not.
 */
export interface JobFence {
  /** Of the job: grows with each return to a checkpoint. */
  readonly generation: number
  /** Of this worker: grows each time it is started again. */
  readonly incarnation: number
  /** How many steps the program has made. */
  readonly step: number
}

export interface JobSummary {
  /**
   * A figure at the present step.
   *
   * @throws ERR_INVALID_OPTION for something else than a name and a number
   */
  scalar(name: string, value: number): void
}

export interface DatasetOptions {
  /** Rows in a batch of one worker; a step takes as many times the number of workers. */
  readonly batchSize: number
  /** A new order each epoch, by the job's seed. @default true */
  readonly shuffle?: boolean
}

/** Features and labels, rows first. */
export interface Batch {
  readonly [name: string]: Tfjs.Tensor
  readonly xs: Tfjs.Tensor
  readonly ys: Tfjs.Tensor
}

export interface JobLog {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}
