import { entropySeed, SeededRandom, type Random } from '../determinism/index.js'
import { hasCode, TroupeError } from '../errors.js'
import { CheckpointAttempt } from './checkpoint-attempt.js'
import { byNewest, checkpointEntry, type CheckpointEntry } from './checkpoint-entry.js'
import type { Checkpoint } from './checkpoint.js'
import { damageText, type CheckpointDamage } from './damage.js'
import {
  generationFolder,
  joinPath,
  parseGenerationFolder,
  parseStepFolder,
  stepFolder,
  TEMPORARY_FOLDER,
} from './directory-names.js'
import type { CheckpointFiles } from './files.js'
import { outdated, type RetentionPolicy } from './retention.js'
import { DEFAULT_STALE_ATTEMPT_MS, sweep } from './sweep.js'
import { verifyCheckpoint, type Verification, type VerifyDepth } from './verification.js'

export interface CheckpointStoreOptions {
  /** Names attempts, so that no two writers choose the same name. @default seeded from the machine */
  readonly random?: Random
}

/** The newest checkpoint that can be used, and why newer ones cannot. */
export interface NewestCheckpoint {
  /** Undefined when none can be used: with `skipped` empty there are none at all. */
  readonly checkpoint: Checkpoint | undefined
  /** Newest first. */
  readonly skipped: readonly CheckpointDamage[]
}

export interface RetentionReport {
  readonly removed: readonly CheckpointEntry[]
  /** The newest one that was found to be whole; undefined when nothing was to be removed, or none is. */
  readonly verified: CheckpointEntry | undefined
  /** Folders of attempts that have no writer any more: see {@link CheckpointStore.sweep}. */
  readonly swept: readonly string[]
}

/** A folder that moves while it is listed (its generation is being closed) is listed again, this many times. */
const LIST_TRIES = 5

/**
 * Checkpoints in a place:
 *
 * ```
 * g0007.closed/step-000001000/…           a generation from which the job rolled back
 * g0008/step-000001200/shard-00-of-02.safetensors, shard-01-of-02.safetensors, state.msgpack, manifest.json
 * g0008/.tmp/step-000001300.5f3a…/…       an attempt; `removed-…`: what is being removed
 * ```
 *
 * ## Why a reader never sees half a checkpoint
 *
 * The order of writing, and what a reader finds if everything stops right after each point:
 *
 * 1. `g/.tmp/step.attempt/` is made. Readers look at `g…/step-…` only: they see what they saw before.
 * 2. Shards and state are written there, each ended and made durable on its own. As before.
 * 3. Their lengths are compared with what was written: a broken upload can look like an ended file. As before.
 * 4. `manifest.json`, with length and SHA-256 of every file and a digest of itself, is written and made durable; then
 *    the attempt's folder is. As before, though all of it is there.
 * 5. One rename moves the folder to `g/step-…`. It is atomic: readers see nothing or all. It is exclusive: of racing
 *    writers of one step the first wins, and the others are told `lost`. (POSIX renames onto an empty folder: a folder
 *    `step-…` has at least its manifest when it comes to be, `g….closed` at least its `.tmp`, so they never are.)
 * 6. The generation's folder is made durable, and only then is the commit acknowledged. Without power before that, the
 *    rename may be undone: then the previous checkpoint is the newest, and nobody was told otherwise.
 *
 * Older checkpoints are removed only after a newer one is whole (see {@link retain}), by renaming them into `.tmp`
 * first, so half-removed ones are not seen either.
 *
 * ## Why a closed generation stays closed
 *
 * Closing renames `g` to `g.closed`, in one step: each commit into it happened before, and moved along, or finds no
 * folder to rename into and ends `closed`. Where the file system makes missing folders by itself (HDFS), or a late
 * writer had looked just before, `g` may come to be once more; therefore readers do not look into `g` when
 * `g.closed` is there, and what lies there is swept.
 */
export class CheckpointStore {
  readonly files: CheckpointFiles
  #random: Random | undefined
  /** Folders of attempts that are under way here: not to be swept, however slow. */
  readonly #open = new Map<string, CheckpointAttempt>()
  /** Generations whose folders this store has made durable: one found may be a dead writer's, who had not. */
  readonly #durable = new Set<number>()

  constructor(files: CheckpointFiles, options: CheckpointStoreOptions = {}) {
    this.files = files
    this.#random = options.random
  }

  /**
   * Begins to write a checkpoint.
   *
   * @throws ERR_CHECKPOINT_CLOSED when the job rolled back from this generation
   */
  async beginAttempt(generation: number, step: number): Promise<CheckpointAttempt> {
    try {
      if (await this.#isClosed(generation)) throw closedError(generation, step)
      await this.#makeGeneration(generation)
      let attempt = this.joinAttempt(generation, step, this.#name())
      // Randomness that is seeded may repeat what it gave to a writer that has died.
      while ((await this.files.stat(attempt.directory)) !== undefined) {
        attempt = this.joinAttempt(generation, step, this.#name())
      }
      await this.files.makeDirectory(attempt.directory)
      this.#open.set(attempt.directory, attempt)
      return attempt
    } catch (error) {
      const moved =
        hasCode(error, 'ERR_CHECKPOINT_MISSING') && (await this.#isClosed(generation).catch(() => false))
      throw moved ? closedError(generation, step, error) : error
    }
  }

  /** An attempt that another process has begun, to write a shard into it. */
  joinAttempt(generation: number, step: number, id: string): CheckpointAttempt {
    return new CheckpointAttempt(this.files, generation, step, id, attempt => {
      this.#open.delete(attempt.directory)
    })
  }

  /** All checkpoints by name, newest first: by generation, then step. None when the place is not there. */
  async list(): Promise<CheckpointEntry[]> {
    for (let tries = 1; ; tries++) {
      const { entries, moved } = await this.#listOnce()
      if (!moved || tries === LIST_TRIES) return entries.sort(byNewest)
    }
  }

  /** The highest generation that left a trace here, whole or not: a job that begins anew takes a higher one. */
  async lastGeneration(): Promise<number | undefined> {
    const generations = await this.#generations()
    return generations.length === 0 ? undefined : Math.max(...generations.map(found => found.generation))
  }

  /**
   * Looks whether a checkpoint can be used.
   *
   * @throws ERR_CHECKPOINT_IO when the place cannot be asked
   */
  async verify(entry: CheckpointEntry, depth: VerifyDepth = 'full'): Promise<Verification> {
    return verifyCheckpoint(this.files, entry, depth)
  }

  /**
   * The newest checkpoint that verifies in full.
   *
   * @throws ERR_CHECKPOINT_IO when the place cannot be asked: it is not taken for a reason to use an older one
   */
  async newest(): Promise<NewestCheckpoint> {
    for (let tries = 1; ; tries++) {
      const found = await this.#newestOf(await this.list())
      if (found !== undefined) return found
      if (tries === LIST_TRIES) return { checkpoint: undefined, skipped: [] }
    }
  }

  /**
   * As {@link newest}, where there must be one.
   *
   * @throws ERR_CHECKPOINT_NONE naming what was skipped
   */
  async requireNewest(): Promise<NewestCheckpoint & { readonly checkpoint: Checkpoint }> {
    const { checkpoint, skipped } = await this.newest()
    if (checkpoint !== undefined) return { checkpoint, skipped }
    const what =
      skipped.length === 0
        ? 'holds no checkpoint'
        : `holds no checkpoint that can be used: ${skipped.map(damageText).join('; ')}`
    throw new TroupeError('ERR_CHECKPOINT_NONE', `${this.files.place} ${what}`, {
      data: { place: this.files.place, skipped },
    })
  }

  /**
   * Closes a generation and all before it: a checkpoint of theirs that is not committed by now never is. Can be
   * repeated, and begun again after a failure.
   */
  async closeGeneration(generation: number): Promise<void> {
    for (const older of await this.#generations()) {
      if (!older.closed && older.generation < generation) await this.#close(older.generation)
    }
    await this.#close(generation)
  }

  /**
   * Removes what the policy does not keep, and never the newest checkpoint that verifies, nor any while none does.
   * Sweeps, too.
   *
   * @param depth how closely the one that must stay is looked at. `lengths` is for the writer that has just
   *   committed it, and hashed it then: it spares reading everything again after each commit
   */
  async retain(policy: RetentionPolicy = {}, depth: VerifyDepth = 'full'): Promise<RetentionReport> {
    const swept = await this.sweep()
    const entries = await this.list()
    if (outdated(entries, policy).length === 0) return { removed: [], verified: undefined, swept }
    const damaged = new Set<CheckpointEntry>()
    let verified: CheckpointEntry | undefined
    for (const entry of entries) {
      if ((await this.verify(entry, depth)).ok) {
        verified = entry
        break
      }
      damaged.add(entry)
    }
    if (verified === undefined) return { removed: [], verified, swept }
    // Those found damaged take nobody's place; so the newest that is left is the verified one, and one always stays.
    const sound = entries.filter(entry => !damaged.has(entry))
    const removed = outdated(sound, policy)
    for (const entry of removed) await this.#remove(entry)
    return { removed, verified, swept }
  }

  /**
   * Removes what attempts left behind: all in closed generations, since nobody can commit there; in open ones what
   * was not written to for `staleAfterMs`, by the clock of the file system. This store's own attempts stay.
   *
   * @returns the folders that were removed
   */
  async sweep(staleAfterMs = DEFAULT_STALE_ATTEMPT_MS): Promise<string[]> {
    return sweep(this.files, staleAfterMs, this.#name(), directory => this.#open.has(directory))
  }

  async #generations(): Promise<{ generation: number; closed: boolean }[]> {
    const names = (await this.files.list('')) ?? []
    return names.flatMap(({ name }) => parseGenerationFolder(name) ?? [])
  }

  async #listOnce(): Promise<{ entries: CheckpointEntry[]; moved: boolean }> {
    const generations = await this.#generations()
    const closed = new Set(generations.filter(found => found.closed).map(found => found.generation))
    const entries: CheckpointEntry[] = []
    let moved = false
    for (const found of generations) {
      if (!found.closed && closed.has(found.generation)) continue
      const steps = await this.files.list(generationFolder(found.generation, found.closed))
      if (steps === undefined) moved = true
      for (const { name, directory } of steps ?? []) {
        const step = directory ? parseStepFolder(name) : undefined
        if (step !== undefined) entries.push(checkpointEntry(found.generation, found.closed, step))
      }
    }
    return { entries, moved }
  }

  /** Undefined when one of them was moved or removed meanwhile: then the list is not what is there. */
  async #newestOf(entries: readonly CheckpointEntry[]): Promise<NewestCheckpoint | undefined> {
    const skipped: CheckpointDamage[] = []
    for (const entry of entries) {
      const verification = await this.verify(entry)
      if (verification.ok) return { checkpoint: verification.checkpoint, skipped }
      if ((await this.files.stat(entry.directory)) === undefined) return undefined
      skipped.push(verification.damage)
    }
    return { checkpoint: undefined, skipped }
  }

  async #makeGeneration(generation: number): Promise<void> {
    const folder = generationFolder(generation)
    const temporary = joinPath(folder, TEMPORARY_FOLDER)
    const there = (await this.files.stat(temporary)) !== undefined
    if (there && this.#durable.has(generation)) return
    await this.files.makeDirectory(temporary)
    await this.files.syncDirectory(folder)
    await this.files.syncDirectory('')
    this.#durable.add(generation)
  }

  async #isClosed(generation: number): Promise<boolean> {
    return (await this.files.stat(generationFolder(generation, true))) !== undefined
  }

  async #close(generation: number): Promise<void> {
    if (!(await this.#isClosed(generation))) {
      // Also where nothing was written: the closed folder is what refuses late writers.
      await this.#makeGeneration(generation)
      // 'exists' and 'missing' say that somebody else has closed it at this moment.
      await this.files.renameExclusive(generationFolder(generation), generationFolder(generation, true))
    }
    await this.files.syncDirectory('')
  }

  async #remove(entry: CheckpointEntry): Promise<void> {
    const temporary = joinPath(generationFolder(entry.generation, entry.closed), TEMPORARY_FOLDER)
    const doomed = joinPath(temporary, `removed-${stepFolder(entry.step)}.${this.#name()}`)
    await this.files.makeDirectory(temporary)
    if ((await this.files.renameExclusive(entry.directory, doomed)) === 'done')
      await this.files.remove(doomed, 'retired')
  }

  /** 64 bits of chance. */
  #name(): string {
    // Only who writes needs chance.
    const random = (this.#random ??= new SeededRandom(entropySeed()))
    const word = (): string =>
      random
        .below(2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return word() + word()
  }
}

function closedError(generation: number, step: number, cause?: unknown): TroupeError {
  return new TroupeError(
    'ERR_CHECKPOINT_CLOSED',
    `generation ${generation} is closed; a checkpoint at step ${step} was begun in it`,
    { data: { generation, step }, cause },
  )
}
