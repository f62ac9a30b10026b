import type * as Tfjs from '@tensorflow/tfjs'
import { describe, TroupeError } from '../errors.js'
import { DrawCount } from './draw-count.js'
import type { TrainingSession } from './training-session.js'

type Batches<T extends Tfjs.TensorContainer> = Tfjs.data.Dataset<T>

/**
 * Deals the batches of a program's own dataset to the workers in turn: step k of R workers takes batches kR to kR + R - 1.
 * A worker for which the last step has none left gets zeros in the shape of another's, which weigh nothing.
 *
 * Every worker draws the whole dataset, in a replay too: only so its shuffles come to where they were.
 */
export function dealDataset<T extends Tfjs.TensorContainer>(
  tf: typeof Tfjs,
  session: TrainingSession,
  workers: number,
  dataset: Batches<T>,
): Batches<T> {
  const draws = new DrawCount(session)
  async function* deal(): AsyncGenerator<T, void> {
    const batches = await dataset.iterator()
    for (;;) {
      const began = session.now()
      const drawn: T[] = []
      while (drawn.length < workers) {
        const next = await batches.next()
        if (next.done) break
        drawn.push(next.value)
      }
      if (drawn.length === 0) return
      const own = drawn[session.rank] ?? zerosLike(tf, drawn[0]!)
      for (const [rank, batch] of drawn.entries()) if (rank !== session.rank) tf.dispose(batch)
      draws.drew(session.rank < drawn.length ? rowsOf(tf, own) : 0, session.now() - began)
      yield own
    }
  }
  const dealt = tf.data.generator<T>(deal)
  // Null where it is not known, whatever its type says.
  const size = dataset.size as number | null
  return Object.assign(dealt, { size: size === null ? size : Math.ceil(size / workers) })
}

/** Of its first tensor: what tfjs counts too. */
function rowsOf(tf: typeof Tfjs, batch: Tfjs.TensorContainer): number {
  const [first] = tensorsIn(tf, batch)
  const rows = first?.shape[0]
  if (rows !== undefined) return rows
  throw new TroupeError(
    'ERR_DATASET',
    `ctx.dataset deals batches: tensors whose first dimension is the row, such as { xs, ys }; got ${describe(batch)}. ` +
      'Call batch() before',
  )
}

function tensorsIn(tf: typeof Tfjs, batch: Tfjs.TensorContainer): Tfjs.Tensor[] {
  if (batch instanceof tf.Tensor) return [batch]
  if (typeof batch !== 'object' || batch === null) return []
  return Object.values(batch).flatMap(part => tensorsIn(tf, part))
}

function zerosLike<T extends Tfjs.TensorContainer>(tf: typeof Tfjs, batch: T): T {
  if (batch instanceof tf.Tensor) return tf.zerosLike(batch) as T
  if (typeof batch !== 'object' || batch === null) return batch
  const parts = Object.entries(batch).map(([key, part]) => [key, zerosLike(tf, part)])
  return (Array.isArray(batch) ? parts.map(([, part]) => part) : Object.fromEntries(parts)) as T
}
