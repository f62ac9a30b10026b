import { describe, TroupeError } from '../errors.js'
import type { CheckpointEntry } from './checkpoint-entry.js'
import { joinPath, STATE_FILE } from './directory-names.js'
import type { CheckpointFiles } from './files.js'
import type { CheckpointManifest } from './manifest.js'
import type { StoredSlice } from './safetensors.js'
import { groupByKey, keyText, type TensorKey } from './tensor-slice.js'
import { checkWanted, loadShard, readVerified, toNativeOrder, type WantedInterval } from './verified-load.js'

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
const ELEMENT_BYTES = 4
/** Read at a time: values are copied out of pieces of this size. */
const READ_BYTES = 1024 * 1024

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

  /**
   * Reads elements `[offset, offset + length)` of a tensor, from whichever shards hold them.
   *
   * @param into where to; may lie in shared memory. A new array if not given
   * @throws ERR_CHECKPOINT_SLICE when there is no such tensor or interval; ERR_CHECKPOINT_DAMAGED when the file has
   *   changed since it was verified
   */
  async readSlices(
    key: TensorKey,
    offset: number,
    length: number,
    into: Float32Array = new Float32Array(length),
  ): Promise<Float32Array> {
    const slices = this.#slices.get(keyText(key)) ?? []
    const last = slices.at(-1)
    const elements = last === undefined ? 0 : last.offset + last.length
    if (offset < 0 || length < 0 || offset + length > elements || into.length !== length) {
      throw new TroupeError(
        'ERR_CHECKPOINT_SLICE',
        `${this.entry.directory} has ${elements} elements of ${keyText(key)}; asked were ${length} from ${describe(offset)} ` +
          `into an array of ${into.length}`,
        { data: { ...key, offset, length, elements } },
      )
    }
    for (const slice of slices) {
      const from = Math.max(offset, slice.offset)
      const to = Math.min(offset + length, slice.offset + slice.length)
      if (to <= from) continue
      await this.#readElements(slice, from - slice.offset, into.subarray(from - offset, to - offset))
    }
    return into
  }

  async #readElements(slice: FiledSlice, first: number, into: Float32Array): Promise<void> {
    const target = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
    const start = slice.position + first * ELEMENT_BYTES
    for (let at = 0; at < target.byteLength; at += READ_BYTES) {
      const wanted = Math.min(READ_BYTES, target.byteLength - at)
      const bytes = await this.#read(slice.file, start + at, wanted)
      if (!LITTLE_ENDIAN) Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).swap32()
      target.set(bytes, at)
    }
  }

  async #read(file: string, offset: number, length: number): Promise<Uint8Array> {
    const path = joinPath(this.entry.directory, file)
    const bytes = await this.#files.read(path, offset, length)
    if (bytes.byteLength === length) return bytes
    throw new TroupeError(
      'ERR_CHECKPOINT_DAMAGED',
      `${path} gave ${bytes.byteLength} bytes from ${offset} instead of ${length}, after it was verified`,
      { data: { path, offset, length, bytes: bytes.byteLength } },
    )
  }
}
