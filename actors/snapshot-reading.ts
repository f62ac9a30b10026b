import { CheckpointStore, damageText, TroupeError, type CheckpointFiles } from 'troupe'
import { decodeJobState, type Shard, type SnapshotTensor, type TrainingState } from 'troupe/training'
import type { CheckpointRef } from './checkpointer.js'

/**
 * Reads a shard's part of a checkpoint, whatever number of shards wrote it.
 *
 * @throws ERR_STATE_LOST when the checkpoint is gone; ERR_CHECKPOINT_DAMAGED, ERR_CHECKPOINT_IO: it may be read another
 *   time
 */
export async function readSnapshot(
  files: CheckpointFiles,
  { generation, step, path }: CheckpointRef,
  shard: Shard,
): Promise<{ readonly state: TrainingState; readonly pieces: readonly SnapshotTensor[] }> {
  const store = new CheckpointStore(files)
  // By its name, which changes when its generation is closed.
  const entry = (await store.list()).find(each => each.generation === generation && each.step === step)
  if (entry === undefined) throw new TroupeError('ERR_STATE_LOST', `the checkpoint ${path} is gone`)
  const verification = await store.verify(entry, 'lengths')
  if (!verification.ok) {
    throw new TroupeError(
      'ERR_CHECKPOINT_DAMAGED',
      `the checkpoint ${path}: ${damageText(verification.damage)}`,
    )
  }
  const { checkpoint } = verification
  const { training: state } = decodeJobState(await checkpoint.readState())
  const pieces = shard
    .restoreNeeds(state)
    .filter(({ length }) => length > 0)
    .map(({ variable, kind, shape, offset, length }) => {
      return { variable, kind, shape, offset, values: new Float32Array(length) }
    })
  // Hashed while it is read: the lengths were enough before.
  await checkpoint.load(
    pieces.map(({ variable, kind, offset, values }) => ({ variable, kind, offset, into: values })),
  )
  return { state, pieces }
}
