import type * as Tfjs from '@tensorflow/tfjs'
import type { MathRandomSeed } from '../determinism/index.js'
import { checkTrainable, type BackendName } from '../tensor/index.js'
import type { Logs } from './events.js'
import { isBlockingOptimizer } from './blocking-optimizer.js'
import type { Batch } from './job-context.js'
import type { HostLink } from './host-link.js'
import type { Trainee, TrainingSession } from './training-session.js'

type TrainFunction = (data: Tfjs.Tensor[]) => Tfjs.Scalar[]

/** What the hooks use of a Layers model, some of which its type does not show. */
interface Model {
  readonly optimizer: unknown
  readonly weights: Tfjs.LayerVariable[]
  readonly collectedTrainableWeights: readonly Tfjs.LayerVariable[]
  getDedupedMetricsNames(): string[]
}

interface ModelMethods {
  makeTrainFunction: (this: Model) => TrainFunction
  fitDataset: (this: Model, dataset: Tfjs.data.Dataset<Batch>, args: FitArgs) => Promise<Tfjs.History>
}

interface FitArgs {
  readonly epochs: number
  readonly initialEpoch?: number
  readonly batchesPerEpoch?: number
}

interface DatasetMethods {
  shuffle: (this: object, bufferSize: number, seed?: string, reshuffleEachIteration?: boolean) => object
}

interface CallbackListMethods {
  onBatchEnd: (this: object, batch: number, logs?: Record<string, unknown>) => Promise<void>
  onEpochEnd: (this: object, epoch: number, logs?: Record<string, unknown>) => Promise<void>
}

export interface HookParts {
  readonly tf: typeof Tfjs
  readonly session: TrainingSession
  readonly link: HostLink
  readonly backend: BackendName
  readonly chief: boolean
  readonly random: MathRandomSeed
}

/**
 * Lets ordinary Layers programs take part in a job: from now on, in this thread, a model that was compiled with an
 * optimizer of the job makes its training steps through the session, and its callbacks see loss, metrics and number
 * of rows over all workers. Other models train as ever.
 */
export function hookLayers({ tf, session, link, backend, chief, random }: HookParts): void {
  const models = tf.LayersModel.prototype as unknown as ModelMethods
  const { makeTrainFunction } = models
  /** Rows of the step whose callbacks come next. */
  let stepRows: number | undefined

  models.makeTrainFunction = function () {
    const train = makeTrainFunction.call(this)
    const { optimizer } = this
    if (!isBlockingOptimizer(optimizer)) return train
    checkTrainable(tf, this as unknown as Tfjs.LayersModel, backend)
    const trainee: Trainee = {
      optimizer: optimizer.spec,
      trainable: this.collectedTrainableWeights.map(variableOf),
      state: stateOf(this).map(variableOf),
      outputs: this.getDedupedMetricsNames(),
    }
    return data => {
      const { outputs, rows } = session.step(trainee, data[0]!.shape[0], () => readScalars(train(data)))
      stepRows = rows
      return Array.from(outputs, value => tf.scalar(value))
    }
  }

  const callbacks = tf.CallbackList.prototype as unknown as CallbackListMethods
  const { onBatchEnd, onEpochEnd } = callbacks
  callbacks.onBatchEnd = async function (batch, logs) {
    // Without it epoch means, and what steers by them, would differ between workers on an odd last batch.
    if (stepRows !== undefined && logs !== undefined) logs['size'] = stepRows
    stepRows = undefined
    await onBatchEnd.call(this, batch, logs)
  }
  callbacks.onEpochEnd = async function (epoch, logs) {
    await onEpochEnd.call(this, epoch, logs)
    if (chief && !session.replaying && logs !== undefined) {
      link.tell({ tell: 'epoch', epoch, step: session.steps, logs: plainLogs(logs) })
    }
  }

  hookExtent(tf, link, chief)
  seedShuffles(tf, random)
}

/** Weights that steps may write themselves. A merely frozen one is equal on all ranks, and stays as it is. */
function stateOf(model: Model): Tfjs.LayerVariable[] {
  const trained = new Set(model.collectedTrainableWeights)
  return model.weights.filter(weight => !trained.has(weight))
}

function variableOf(weight: Tfjs.LayerVariable): Tfjs.Variable {
  return weight.read() as Tfjs.Variable
}

/** Their values; the scalars themselves are disposed. */
function readScalars(scalars: Tfjs.Scalar[]): number[] {
  const values = scalars.map(scalar => scalar.dataSync()[0]!)
  for (const scalar of scalars) if (!scalar.isDisposed) scalar.dispose()
  return values
}

function plainLogs(logs: Readonly<Record<string, unknown>>): Logs {
  const plain: Record<string, number> = {}
  for (const [name, value] of Object.entries(logs)) {
    if (typeof value === 'number') plain[name] = value
    else if (isTensor(value)) plain[name] = value.dataSync()[0]!
  }
  return plain
}

function isTensor(value: unknown): value is Tfjs.Tensor {
  return (
    typeof value === 'object' && value !== null && 'dataSync' in value && !(value as Tfjs.Tensor).isDisposed
  )
}

/** Says how long the program trains, so that progress can say how long it will take. */
function hookExtent(tf: typeof Tfjs, link: HostLink, chief: boolean): void {
  const models = tf.LayersModel.prototype as unknown as ModelMethods
  const { fitDataset } = models
  models.fitDataset = async function (dataset, args) {
    const stepsPerEpoch = args.batchesPerEpoch ?? dataset.size
    if (chief && Number.isFinite(stepsPerEpoch) && isBlockingOptimizer(this.optimizer)) {
      link.tell({ tell: 'extent', epochs: args.epochs - (args.initialEpoch ?? 0), stepsPerEpoch })
    }
    return fitDataset.call(this, dataset, args)
  }
}

/** `shuffle()` without a seed would take one from the clock. */
function seedShuffles(tf: typeof Tfjs, random: MathRandomSeed): void {
  const datasets = tf.data.Dataset.prototype as unknown as DatasetMethods
  const { shuffle } = datasets
  datasets.shuffle = function (bufferSize, seed, reshuffleEachIteration) {
    return shuffle.call(this, bufferSize, seed ?? String(random.next()), reshuffleEachIteration)
  }
}
