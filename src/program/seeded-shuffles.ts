import type * as Tfjs from '@tensorflow/tfjs'
import { hashSeed } from '../determinism/index.js'

interface DatasetMethods {
  shuffle: (this: object, bufferSize: number, seed?: string, reshuffleEachIteration?: boolean) => object
}

/**
 * Gives every `tf.data` shuffle without a seed one that depends on the job's seed and on the shuffle's place in the
 * program: it would take one from the clock. Equal on all workers, so that they see the same order of a dataset that is
 * dealt among them.
 */
export function seedShuffles(tf: typeof Tfjs, seed: number): void {
  const datasets = tf.data.Dataset.prototype as unknown as DatasetMethods
  const { shuffle } = datasets
  let count = 0
  datasets.shuffle = function (bufferSize, given, reshuffleEachIteration) {
    const own = given === undefined || given === '' ? String(hashSeed(seed, `shuffle ${count++}`)) : given
    return shuffle.call(this, bufferSize, own, reshuffleEachIteration)
  }
}
