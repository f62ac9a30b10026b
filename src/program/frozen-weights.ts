import type * as Tfjs from '@tensorflow/tfjs'
import { createHash } from 'node:crypto'
import { TroupeError } from '../errors.js'
import { toTensorData } from '../tensor/index.js'
import type { OnceJournal } from './once-journal.js'
import type { TrainingSession } from './training-session.js'

/**
 * Throws unless weights that no step changes are those of the chief: parameter servers do not hold them, so that
 * nobody would give them to a worker that built them otherwise.
 *
 * @throws ERR_RANKS_DIVERGED
 */
export function checkFrozen(
  weights: readonly Tfjs.LayerVariable[],
  session: TrainingSession,
  onces: OnceJournal,
): void {
  if (weights.length === 0) return
  const chiefs = onces.onceSync({ name: 'frozen weights', run: () => hashOf(weights) })
  // What is frozen in this model may be trained in another, and a program that replays has no such values.
  if (session.replaying || chiefs === hashOf(weights)) return
  const names = weights.map(({ originalName }) => originalName).join(', ')
  throw new TroupeError(
    'ERR_RANKS_DIVERGED',
    `frozen weights of rank ${session.rank} differ from the chief's: one of ${names}`,
    { data: { rank: session.rank, weights: weights.map(({ originalName }) => originalName) } },
  )
}

function hashOf(weights: readonly Tfjs.LayerVariable[]): string {
  const hash = createHash('sha256')
  for (const weight of weights) hash.update(toTensorData(weight.read()).bytes)
  return hash.digest('hex')
}
