import type { CheckpointEntry } from './checkpoint-entry.js'
import { STATE_FILE } from './directory-names.js'
import type { CheckpointFiles } from './files.js'
import type { CheckpointManifest } from './manifest.js'
import type { StoredSlice } from './safetensors.js'
import { groupByKey, keyText, type TensorKey } from './tensor-slice.js'
import { checkWanted, loadShard, readVerified, toNativeOrder, type WantedInterval } from './verified-load.js'

/** A slice and the file it lies in. */
export interface FiledSlice extends StoredSlice {
  readonly file: string
}

/** A tensor that a checkpoint holds. */
export interface StoredTensor extends TensorKey {
  readonly shape: readonly number[]
}

/**
 * A checkpoint that was verified. It stays readable where it lies: closing its generation moves it, so look for the
 * newest after that.
 */
export class Checkpoint {
  readonly entry: CheckpointEntry
  readonly manifest: CheckpointManifest
  readonly #files: CheckpointFiles
  readonly #slices: ReadonlyMap<string, readonly FiledSlice[]>

  constructor(
    files: CheckpointFiles,
    entry: CheckpointEntry,
    manifest: CheckpointManifest,
    slices: readonly FiledSlice[],
  ) {
    this.#files = files
    this.entry = entry
    this.manifest = manifest
    this.#slices = groupByKey(slices)
  }

  /** All tensors, in no particular order. */
  tensors(): StoredTensor[] {
    return [...this.#slices.values()].map(([first]) => {
      const { variable, kind, shape } = first!
      return { variable, kind, shape }
    })
  }

  /**
   * What the job put into `state.msgpack`.
   *
   * @throws ERR_CHECKPOINT_DAMAGED when it is not what the manifest says, however it was verified before
   */
  async readState(): Promise<Uint8Array> {
    const receipt = this.manifest.files.find(({ file }) => file === STATE_FILE)!
    const bytes = new Uint8Array(receipt.bytes)
    await readVerified(this.#files, this.entry.directory, receipt, (at, piece) => bytes.set(piece, at))
    return bytes
  }

  /**
   * Loads intervals of tensors, from whichever shards hold them: each file is read once and hashed meanwhile, so
   * that what is loaded is what was written, also where a disk or a wire spoils bytes after they were verified.
   *
   * @throws ERR_CHECKPOINT_SLICE when there is no such tensor or interval; ERR_CHECKPOINT_DAMAGED: then nothing that
   *   was loaded may be used
   */
  async load(wanted: readonly WantedInterval[]): Promise<void> {
    const files = new Set<string>()
    for (const interval of wanted) {
      const slices = this.#slices.get(keyText(interval)) ?? []
      checkWanted(this.entry.directory, slices, interval)
      const end = interval.offset + interval.into.length
      for (const { file, offset, length } of slices) {
        if (offset < end && offset + length > interval.offset) files.add(file)
      }
    }
    for (const receipt of this.manifest.files) {
      if (files.has(receipt.file)) await loadShard(this.#files, this.entry.directory, receipt, wanted)
    }
    for (const { into } of wanted) toNativeOrder(into)
  }
}
