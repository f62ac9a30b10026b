import type * as Tfjs from '@tensorflow/tfjs'
import type { DatasetDescriptor } from '../data/index.js'

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
  /** Aborts when the job stops. */
  readonly signal: AbortSignal
  /** Silent while replaying. `console` in a program goes here too. */
  readonly log: JobLog
  /**
   * An optimizer that lives on the parameter servers: `sgd`, `momentum` or `adam`, with Keras's defaults. Give it to
   * `model.compile()`, or call its `minimize()`.
   *
   * @param options learning rate, or options by name
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
   * Deals the rows of tensors among the workers like cards: each gets the same number; what is left over is left out
   * and logged. The tensors given are kept.
   */
  partition<T extends readonly Tfjs.Tensor[]>(...tensors: T): T
  /**
   * Runs `fn` on the chief alone; every worker gets what it returned, which must be plain data. For what should
   * happen once in a job: an evaluation, a file that is written. If the chief is killed in it, `fn` runs again.
   */
  once<T>(name: string, fn: () => T | Promise<T>): Promise<T>
}

export type OptimizerOptions = Readonly<Record<string, number>>

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
