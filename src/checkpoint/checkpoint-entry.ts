import { generationFolder, joinPath, stepFolder } from './directory-names.js'

/** A checkpoint by its place: whether it is whole is another question. */
export interface CheckpointEntry {
  readonly generation: number
  readonly step: number
  /** The job rolled back from this generation: nobody commits into it any more. */
  readonly closed: boolean
  /** Relative to the place. */
  readonly directory: string
}

export function checkpointEntry(generation: number, closed: boolean, step: number): CheckpointEntry {
  const directory = joinPath(generationFolder(generation, closed), stepFolder(step))
  return { generation, step, closed, directory }
}

/** Orders the newest first. */
export function byNewest(a: CheckpointEntry, b: CheckpointEntry): number {
  return b.generation - a.generation || b.step - a.step
}
