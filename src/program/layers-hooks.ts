import type * as Tfjs from '@tensorflow/tfjs'
import { checkTrainable, type BackendName } from '../tensor/index.js'
import { isBlockingOptimizer } from './blocking-optimizer.js'
import { hookCallbacks, type StepRows } from './callback-hooks.js'
import { checkFrozen } from './frozen-weights.js'
import type { HostLink } from './host-link.js'
import { LayerSeeds } from './layer-seeds.js'
import { ModelState } from './model-state.js'
import type { OnceJournal } from './once-journal.js'
import type { Trainee, TrainingSession } from './training-session.js'

type TrainFunction = (data: Tfjs.Tensor[]) => Tfjs.Scalar[]

/** What the hooks use of a Layers model, some of which its type does not show. */
interface Model {
  readonly optimizer: unknown
  readonly weights: readonly Tfjs.LayerVariable[]
  readonly collectedTrainableWeights: readonly Tfjs.LayerVariable[]
  getDedupedMetricsNames(): string[]
}

interface ModelMethods {
  makeTrainFunction: (this: Model) => TrainFunction
  fit: (this: Model, x: Rows, y: Rows, args?: FitArgs) => Promise<Tfjs.History>
  fitDataset: (this: Model, dataset: Sized, args: FitDatasetArgs) => Promise<Tfjs.History>
}

type Rows = Tfjs.Tensor | Tfjs.Tensor[] | Readonly<Record<string, Tfjs.Tensor>>

interface Sized {
  readonly size: number
}

interface FitArgs {
  readonly epochs?: number
  readonly initialEpoch?: number
  readonly batchSize?: number
  readonly validationSplit?: number
  readonly validationData?: unknown
}

interface FitDatasetArgs {
  readonly epochs: number
  readonly initialEpoch?: number
  readonly batchesPerEpoch?: number
}

export interface HookParts {
  readonly tf: typeof Tfjs
  readonly session: TrainingSession
  readonly link: HostLink
  readonly onces: OnceJournal
  readonly backend: BackendName
  readonly chief: boolean
}

/** What tfjs takes for a batch where nothing else is said. */
const DEFAULT_BATCH_SIZE = 32

/**
 * Lets ordinary Layers programs take part in a job: from now on, in this thread, a model that was compiled with an
 * optimizer of the job makes its training steps (of `fit`, `fitDataset` or `trainOnBatch`) through the session, and its
 * callbacks see loss, metrics and number of rows over all workers. Other models train as ever.
 */
export function hookLayers(parts: HookParts): void {
  const { tf, session, onces, backend } = parts
  const models = tf.LayersModel.prototype as unknown as ModelMethods
  const { makeTrainFunction } = models
  const seeds = new WeakMap<object, LayerSeeds>()
  const state = new ModelState(tf)
  const rows: StepRows = { ofStep: undefined }

  models.makeTrainFunction = function () {
    const train = makeTrainFunction.call(this)
    const { optimizer, collectedTrainableWeights } = this
    if (!isBlockingOptimizer(optimizer)) return train
    // A model that is compiled again has another list; `trainOnBatch` comes here for every batch.
    let layerSeeds = seeds.get(collectedTrainableWeights)
    if (layerSeeds === undefined) {
      const model = this as unknown as Tfjs.LayersModel
      checkTrainable(tf, model, backend)
      checkFrozen(state.frozenIn(this), session, onces)
      layerSeeds = new LayerSeeds(model)
      seeds.set(collectedTrainableWeights, layerSeeds)
    }
    const trainee: Trainee = {
      optimizer: optimizer.spec,
      trainable: collectedTrainableWeights.map(variableOf).filter(({ trainable }) => trainable),
      state: state.of(this).map(variableOf),
      outputs: this.getDedupedMetricsNames(),
    }
    return data => {
      const entry = session.step(trainee, data[0]!.shape[0], () => {
        layerSeeds.reseed(session.steps)
        return readScalars(train(data))
      })
      rows.ofStep = entry.rows
      return Array.from(entry.outputs, value => tf.scalar(value))
    }
  }

  hookCallbacks(parts, rows)
  if (parts.chief) hookExtent(parts)
}

/** Says how long the program trains, so that progress can say how long it will take. */
function hookExtent({ tf, link }: HookParts): void {
  const models = tf.LayersModel.prototype as unknown as ModelMethods
  const { fit, fitDataset } = models
  const tell = (model: Model, epochs: number, stepsPerEpoch: number): void => {
    if (Number.isFinite(stepsPerEpoch) && isBlockingOptimizer(model.optimizer)) {
      link.tell({ tell: 'extent', epochs, stepsPerEpoch })
    }
  }
  models.fit = async function (x, y, args = {}) {
    const { epochs = 1, initialEpoch = 0, batchSize = DEFAULT_BATCH_SIZE } = args
    const split = args.validationData === undefined ? (args.validationSplit ?? 0) : 0
    const count = Math.floor(rowsOf(x) * (1 - split))
    tell(this, epochs - initialEpoch, Math.ceil(count / batchSize))
    return fit.call(this, x, y, args)
  }
  models.fitDataset = async function (dataset, args) {
    const { epochs, initialEpoch = 0, batchesPerEpoch = dataset.size } = args
    tell(this, epochs - initialEpoch, batchesPerEpoch)
    return fitDataset.call(this, dataset, args)
  }
}

function rowsOf(x: Rows): number {
  const [first] = 'shape' in x ? [x as Tfjs.Tensor] : Object.values(x)
  return first?.shape[0] ?? NaN
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
