import { hasCode, TroupeError } from '../errors.js'
import { checkpointEntry, type CheckpointEntry } from './checkpoint-entry.js'
import {
  generationFolder,
  joinPath,
  MANIFEST_FILE,
  parseShardFile,
  shardFile,
  STATE_FILE,
  stepFolder,
  TEMPORARY_FOLDER,
} from './directory-names.js'
import type { CheckpointFiles, FileSink } from './files.js'
import { encodeManifest, type FileReceipt, type ManifestFacts } from './manifest.js'
import { streamBytes, streamShard } from './shard-stream.js'
import { coverageFault, sliceInfo, type SliceInfo, type TensorSlice } from './tensor-slice.js'

/** What became of a commit. */
export type CommitOutcome =
  /** It is there, durable. */
  | { readonly outcome: 'committed'; readonly entry: CheckpointEntry; readonly bytes: number }
  /** Another writer committed this step of this generation first; its checkpoint is the one. */
  | { readonly outcome: 'lost'; readonly entry: CheckpointEntry }
  /** The job rolled back meanwhile: checkpoints of this generation are no longer taken. */
  | { readonly outcome: 'closed' }

/** What the writer of a shard knows about its file. Plain data: it may come from another process. */
export interface ShardReceipt extends FileReceipt {
  readonly slices: readonly SliceInfo[]
}

/**
 * One writer's attempt at one checkpoint, in a folder of its own that no reader looks at: see
 * `checkpoint-store.ts` for the order of writing. After any failure the attempt is over: begin another.
 */
export class CheckpointAttempt {
  readonly generation: number
  readonly step: number
  /** Tells attempts at the same step apart; with it, another process writes into the same attempt. */
  readonly id: string
  readonly #files: CheckpointFiles
  readonly #receipts = new Map<string, FileReceipt | ShardReceipt>()
  readonly #ended: (attempt: CheckpointAttempt) => void

  /** @param ended told once it is committed, lost or given up */
  constructor(
    files: CheckpointFiles,
    generation: number,
    step: number,
    id: string,
    ended: (attempt: CheckpointAttempt) => void,
  ) {
    this.#files = files
    this.generation = generation
    this.step = step
    this.id = id
    this.#ended = ended
  }

  /** The folder it writes into, relative to the place. */
  get directory(): string {
    return joinPath(
      generationFolder(this.generation),
      TEMPORARY_FOLDER,
      `${stepFolder(this.step)}.${this.id}`,
    )
  }

  /**
   * Writes the file of one shard. Shards may be written side by side.
   *
   * @param tensors must not change until this resolves; those without elements are left out
   */
  async writeShard(shard: number, shards: number, tensors: readonly TensorSlice[]): Promise<ShardReceipt> {
    const full = tensors.filter(({ values }) => values.length > 0)
    const slices = full.map(sliceInfo)
    const written = await this.#write(shardFile(shard, shards), sink => streamShard(sink, full))
    const receipt = { ...written, slices }
    this.#receipts.set(receipt.file, receipt)
    return receipt
  }

  /** Writes what the job needs to go on, as it gave it. */
  async writeState(bytes: Uint8Array): Promise<FileReceipt> {
    const receipt = await this.#write(STATE_FILE, sink => streamBytes(sink, bytes))
    this.#receipts.set(receipt.file, receipt)
    return receipt
  }

  /** A file that another process wrote into this attempt. */
  add(receipt: FileReceipt | ShardReceipt): void {
    this.#receipts.set(receipt.file, receipt)
  }

  /**
   * Makes the checkpoint visible, whole or not at all. An error says that it was not acknowledged; only the next look
   * at the place tells whether it is there.
   *
   * @throws ERR_CHECKPOINT_INCOMPLETE when files or elements are lacking, or a file has not the length it should have
   */
  async commit(facts: ManifestFacts): Promise<CommitOutcome> {
    let bytes: number
    try {
      bytes = await this.#complete(facts)
    } catch (error) {
      await this.abort()
      if (await this.#isClosed().catch(() => false)) return { outcome: 'closed' }
      throw error
    }
    try {
      return await this.#publish(bytes)
    } finally {
      this.#ended(this)
    }
  }

  /** Removes what was written, as far as the place lets it; never rejects. Also after an end. */
  async abort(): Promise<void> {
    this.#ended(this)
    try {
      await this.#files.remove(this.directory)
    } catch {
      // What stays is swept later, by age.
    }
  }

  /** Everything but the rename. Returns the bytes of the checkpoint. */
  async #complete(facts: ManifestFacts): Promise<number> {
    const { generation, step } = this
    const shards = this.#checkComplete()
    const files = [...this.#receipts.values()].sort((a, b) => (a.file < b.file ? -1 : 1))
    for (const receipt of files) await this.#checkLength(receipt)
    const content = encodeManifest({ ...facts, generation, step, shards, files })
    const manifest = await this.#write(MANIFEST_FILE, sink => streamBytes(sink, content))
    await this.#checkLength(manifest)
    await this.#files.syncDirectory(this.directory)
    return files.reduce((sum, receipt) => sum + receipt.bytes, manifest.bytes)
  }

  async #publish(bytes: number): Promise<CommitOutcome> {
    const entry = checkpointEntry(this.generation, false, this.step)
    const renamed = await this.#files.renameExclusive(this.directory, entry.directory)
    if (renamed === 'exists') {
      await this.abort()
      return { outcome: 'lost', entry }
    }
    if (renamed === 'missing') {
      if (await this.#isClosed()) return { outcome: 'closed' }
      throw new TroupeError(
        'ERR_CHECKPOINT_MISSING',
        `committing ${this.directory}: its folder was removed before it could become ${entry.directory}`,
        { data: { directory: this.directory } },
      )
    }
    const landed = await this.#makeDurable(entry)
    return landed === undefined ? { outcome: 'closed' } : { outcome: 'committed', entry: landed, bytes }
  }

  /**
   * Makes the rename durable, wherever its generation is by now.
   *
   * @returns undefined when the generation had been closed before, and its folder has come to be again
   */
  async #makeDurable(entry: CheckpointEntry): Promise<CheckpointEntry | undefined> {
    const { generation, step } = this
    if (!(await this.#isClosed())) {
      try {
        await this.#files.syncDirectory(generationFolder(generation))
        return entry
      } catch (error) {
        if (!hasCode(error, 'ERR_CHECKPOINT_MISSING') || !(await this.#isClosed())) throw error
      }
    }
    if ((await this.#files.stat(entry.directory)) !== undefined) return undefined
    // Closed since the rename: the checkpoint has moved along.
    await this.#files.syncDirectory(generationFolder(generation, true))
    return checkpointEntry(generation, true, step)
  }

  /** How many shards there are, once all of them and the state are written. */
  #checkComplete(): number {
    const receipts = [...this.#receipts.values()]
    const shards = receipts.map(({ file }) => parseShardFile(file)?.shards).find(count => count !== undefined)
    const wanted = [
      ...Array.from({ length: shards ?? 1 }, (_, shard) => shardFile(shard, shards ?? 1)),
      STATE_FILE,
    ]
    const lacking = wanted.filter(file => !this.#receipts.has(file))
    const foreign = receipts.map(({ file }) => file).filter(file => !wanted.includes(file))
    if (lacking.length > 0 || foreign.length > 0) {
      const what = [
        ...(lacking.length > 0 ? [`lacks ${lacking.join(', ')}`] : []),
        ...(foreign.length > 0 ? [`has ${foreign.join(', ')}, which does not belong to it`] : []),
      ]
      throw this.#incomplete(what.join(' and '))
    }
    const fault = coverageFault(receipts.flatMap(receipt => ('slices' in receipt ? receipt.slices : [])))
    if (fault !== undefined) throw this.#incomplete(`is not the whole model: ${fault}`)
    return shards ?? 1
  }

  /** An upload that broke can look like a file that was ended: its length tells. */
  async #checkLength({ file, bytes }: FileReceipt): Promise<void> {
    const stat = await this.#files.stat(joinPath(this.directory, file))
    if (stat?.bytes === bytes) return
    throw this.#incomplete(
      stat === undefined ? `has lost ${file}` : `has ${stat.bytes} bytes of ${file} instead of ${bytes}`,
    )
  }

  async #write(
    file: string,
    stream: (sink: FileSink) => Promise<{ bytes: number; sha256: string }>,
  ): Promise<FileReceipt> {
    let sink: FileSink | undefined
    try {
      sink = await this.#files.create(joinPath(this.directory, file))
      const { bytes, sha256 } = await stream(sink)
      await sink.close()
      return { file, bytes, sha256 }
    } catch (error) {
      await sink?.abort()
      const closed = hasCode(error, 'ERR_CHECKPOINT_MISSING') && (await this.#isClosed().catch(() => false))
      if (!closed) throw error
      const { generation, step } = this
      throw new TroupeError(
        'ERR_CHECKPOINT_CLOSED',
        `generation ${generation} was closed while its checkpoint at step ${step} was being written`,
        { data: { generation, step }, cause: error },
      )
    }
  }

  async #isClosed(): Promise<boolean> {
    return (await this.#files.stat(generationFolder(this.generation, true))) !== undefined
  }

  #incomplete(what: string): TroupeError {
    const { generation, step } = this
    return new TroupeError(
      'ERR_CHECKPOINT_INCOMPLETE',
      `the checkpoint at step ${step} of generation ${generation} ${what}`,
      { data: { generation, step } },
    )
  }
}
