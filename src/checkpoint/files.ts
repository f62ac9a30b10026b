/**
 * The file system under checkpoints, as small as they need it: local disk, an HDFS over HTTP, memory.
 *
 * Paths are relative to the place, separated by `/`, of plain names: never absolute, never with `..`.
 *
 * Every method rejects with a TroupeError: ERR_CHECKPOINT_MISSING when the path, or the folder it lies in, is not
 * there; ERR_CHECKPOINT_EXISTS when it must not be there but is; ERR_CHECKPOINT_DISK_FULL; ERR_CHECKPOINT_IO for all
 * else that may go better another time; a code of its own where it will not, such as who may not write. An implementation that talks over a network repeats and settles ambiguous replies itself: what it reports
 * as done was done, what it reports as refused was not.
 */
export interface CheckpointFiles {
  /** Where this is, for people: a folder or a URL without secrets. */
  readonly place: string

  /** Makes the folder and those above it; not an error when it is there. */
  makeDirectory(path: string): Promise<void>

  /**
   * Begins a new file, exclusively. The folder must be there where the file system can say so; one that would make
   * it anew (HDFS does) cannot harm: see the rule for closed generations in `checkpoint-store.ts`.
   */
  create(path: string): Promise<FileSink>

  /**
   * Bytes `[offset, offset + length)`; fewer where the file ends before. Reading at or behind the end gives none.
   */
  read(path: string, offset: number, length: number): Promise<Uint8Array>

  /** Undefined when there is nothing. */
  stat(path: string): Promise<FileStat | undefined>

  /** What lies in a folder, sorted by name; undefined when the folder is not there. */
  list(path: string): Promise<FileEntry[] | undefined>

  /**
   * Renames a folder in one atomic step, and only if nothing with that name is there. Where the file system renames
   * onto *empty* folders (POSIX), callers see to it that folders with such names are never empty.
   *
   * @returns `done`; `exists`: something has the name; `missing`: the folder, or the one to move it into, is not there
   */
  renameExclusive(from: string, to: string): Promise<RenameOutcome>

  /**
   * Removes a file, or a folder with all that is in it; not an error when nothing is there.
   *
   * @param retired it was in use once: where the place keeps what people throw away, it may go there
   */
  remove(path: string, retired?: 'retired'): Promise<void>

  /** Makes the entries of a folder durable, against power loss; does nothing where the file system does so itself. */
  syncDirectory(path: string): Promise<void>
}

export type RenameOutcome = 'done' | 'exists' | 'missing'

/** A file that is being written, from its beginning to its end. Calls do not overlap. */
export interface FileSink {
  /** Appends; the bytes are the caller's again once it resolves. */
  write(bytes: Uint8Array): Promise<void>
  /** Ends the file; its content is durable once it resolves, where the file system can promise that. */
  close(): Promise<void>
  /** Gives the file up; what was written stays behind, of any length. Never rejects. */
  abort(): Promise<void>
}

export interface FileStat {
  readonly directory: boolean
  /** 0 for a folder. */
  readonly bytes: number
  /** By the clock of the file system, in milliseconds since 1970. */
  readonly modifiedMs: number
}

export interface FileEntry {
  readonly name: string
  readonly directory: boolean
  /** 0 for a folder. */
  readonly bytes: number
}
