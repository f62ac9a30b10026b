import type * as Tfjs from '@tensorflow/tfjs'
import type { OnceJournal } from './once-journal.js'
import type { TrainingSession } from './training-session.js'

type Scalars = Tfjs.Scalar | Tfjs.Scalar[]
type Batches = Tfjs.data.Dataset<Tfjs.TensorContainer> | BatchIterator

/** What `evaluateDataset` also takes: an iterator that somebody has begun. */
interface BatchIterator {
  next(): Promise<{ readonly done?: boolean; readonly value: Tfjs.TensorContainer }>
}

interface EvaluateDatasetArgs {
  readonly batches?: number
}

interface ModelMethods {
  /** What `evaluate` and the validation of `fit` come down to. */
  testLoop: (this: object, ...args: unknown[]) => Tfjs.Scalar[]
  evaluateDataset: (this: object, dataset: Batches, args?: EvaluateDatasetArgs) => Promise<Scalars>
}

/**
 * Lets `evaluate`, `evaluateDataset` and the validations of `fit` and `fitDataset` happen once in the job: on the
 * chief, whose figures everyone gets. So what steers training by them (early stopping) does the same on all workers,
 * and a program that replays gets the figures of then, not of weights that it does not have.
 */
export function hookEvaluation(tf: typeof Tfjs, session: TrainingSession, onces: OnceJournal): void {
  const models = tf.LayersModel.prototype as unknown as ModelMethods
  const { testLoop, evaluateDataset } = models

  models.testLoop = function (...args) {
    const run = (): number[] => {
      const values = readScalars(tf, testLoop.apply(this, args))
      session.faultPoint('validation')
      return values
    }
    return scalars(tf, onces.onceSync({ name: 'evaluate', run }))
  }

  models.evaluateDataset = async function (dataset, args) {
    const values = await onces.once({
      name: 'evaluateDataset',
      run: async () => {
        const measured = readScalars(tf, await evaluateDataset.call(this, dataset, args))
        session.faultPoint('validation')
        return measured
      },
      skip: async () => passOver(tf, dataset, args?.batches),
    })
    const given = scalars(tf, values)
    return given.length === 1 ? given[0]! : given
  }
}

/** Moves a dataset on as an evaluation would have: a shuffle takes its next seed when an iterator is made. */
async function passOver(tf: typeof Tfjs, dataset: Batches, batches = Infinity): Promise<void> {
  if ('iterator' in dataset) {
    await dataset.iterator()
    return
  }
  for (let i = 0; i < batches; i++) {
    const { done, value } = await dataset.next()
    tf.dispose(value)
    if (done === true) return
  }
}

/** Their values; the scalars themselves are disposed. */
function readScalars(tf: typeof Tfjs, given: Scalars): number[] {
  const list = Array.isArray(given) ? given : [given]
  const values = list.map(scalar => scalar.dataSync()[0]!)
  tf.dispose(list)
  return values
}

function scalars(tf: typeof Tfjs, values: readonly number[]): Tfjs.Scalar[] {
  return values.map(value => tf.scalar(value))
}
