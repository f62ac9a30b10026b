import {
  filesError,
  type CheckpointFiles,
  type FileEntry,
  type FileSink,
  type FileStat,
  type RenameOutcome,
} from '../checkpoint/index.js'
import { hasCode } from '../errors.js'
import { childPath } from './path.js'
import { READING_A_FOLDER } from './reading.js'
import type { WebHdfs } from './web-hdfs.js'
import type { HdfsWriter } from './writer.js'

/** A folder in HDFS, with checkpoints. */
export class HdfsFiles implements CheckpointFiles {
  readonly place: string
  readonly #hdfs: WebHdfs
  readonly #folder: string

  /** @param folder absolute; need not be there */
  constructor(hdfs: WebHdfs, folder: string) {
    this.#hdfs = hdfs
    this.#folder = folder
    this.place = `${hdfs.name}${folder}`
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#try('making the folder', path, async at => {
      // Before anything is written: what cannot be committed needs not be sent.
      await this.#hdfs.requireExclusiveRename(at)
      await this.#hdfs.makeDirectory(at)
    })
  }

  async create(path: string): Promise<FileSink> {
    return this.#try('creating', path, async at => {
      await this.#hdfs.requireExclusiveRename(at)
      const writer = await this.#hdfs.create(at)
      return this.#sink(writer, path)
    })
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#try('reading', path, async at => {
      const bytes = new Uint8Array(length)
      let filled = 0
      for await (const piece of this.#hdfs.read(at, offset, length)) {
        bytes.set(piece, filled)
        filled += piece.byteLength
      }
      return filled === length ? bytes : bytes.slice(0, filled)
    })
  }

  async stat(path: string): Promise<FileStat | undefined> {
    return this.#try('looking at', path, async at => {
      const found = await this.#hdfs.status(at)
      if (found === undefined) return undefined
      const { directory, bytes, modifiedMs } = found
      return { directory, bytes, modifiedMs }
    })
  }

  async list(path: string): Promise<FileEntry[] | undefined> {
    return this.#try('listing', path, async at => {
      const entries = await this.#hdfs.list(at)
      return entries?.map(({ name, directory, bytes }) => ({ name, directory, bytes }))
    })
  }

  async renameExclusive(from: string, to: string): Promise<RenameOutcome> {
    return this.#try(`renaming ${from} to`, to, at => this.#hdfs.renameExclusive(this.#path(from), at))
  }

  async remove(path: string, retired?: 'retired'): Promise<void> {
    await this.#try('removing', path, at =>
      retired === undefined ? this.#hdfs.remove(at) : this.#hdfs.moveToTrash(at),
    )
  }

  /** A NameNode has written down what it confirmed. Says only whether the folder is there. */
  async syncDirectory(path: string): Promise<void> {
    await this.#try('making durable', path, async at => {
      const found = await this.#hdfs.status(at)
      if (found?.directory !== true) throw filesError('ERR_CHECKPOINT_MISSING', 'making durable', at)
    })
  }

  #sink(writer: HdfsWriter, path: string): FileSink {
    const attempt = (doing: string, action: () => Promise<void>): Promise<void> =>
      this.#try(doing, path, at => this.#hdfs.writing(at, action))
    return {
      write: bytes => attempt('writing', () => writer.write(bytes)),
      close: () => attempt('closing', () => writer.close()),
      abort: () => writer.abort(),
    }
  }

  #path(path: string): string {
    const parts = path === '' ? [] : path.split('/')
    if (parts.some(part => part === '' || part === '.' || part === '..' || part.includes(':'))) {
      throw filesError('ERR_CHECKPOINT_IO', 'going to', path)
    }
    return childPath(this.#folder, path)
  }

  async #try<T>(doing: string, path: string, action: (at: string) => Promise<T>): Promise<T> {
    try {
      return await action(this.#path(path))
    } catch (error) {
      throw portError(error, doing, `${this.place}${path === '' ? '' : `/${path}`}`)
    }
  }
}

/** Errors of the client as those of the port. What no second try mends stays what it is. */
function portError(error: unknown, doing: string, path: string): unknown {
  if (hasCode(error, 'ERR_HDFS_MISSING')) return filesError('ERR_CHECKPOINT_MISSING', doing, path, error)
  if (hasCode(error, 'ERR_HDFS_EXISTS')) return filesError('ERR_CHECKPOINT_EXISTS', doing, path, error)
  if (hasCode(error, 'ERR_HDFS_FULL')) return filesError('ERR_CHECKPOINT_DISK_FULL', doing, path, error)
  if (hasCode(error, 'ERR_HDFS_UNAVAILABLE')) return filesError('ERR_CHECKPOINT_IO', doing, path, error)
  if (!hasCode(error, 'ERR_HDFS_REFUSED')) return error
  const unreadable =
    error.message.includes(READING_A_FOLDER) || error.data['exception'] === 'ChecksumException'
  return filesError(unreadable ? 'ERR_CHECKPOINT_UNREADABLE' : 'ERR_CHECKPOINT_IO', doing, path, error)
}
