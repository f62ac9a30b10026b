import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import process from 'node:process'
import { filesError, systemFilesError } from './files-error.js'
import type { CheckpointFiles, FileEntry, FileSink, FileStat, RenameOutcome } from './files.js'

/** A folder of this machine. */
export class LocalFiles implements CheckpointFiles {
  readonly place: string

  /** @param folder need not be there; relative to where the process stands */
  constructor(folder: string) {
    this.place = resolve(folder)
  }

  async makeDirectory(path: string): Promise<void> {
    const first = await this.#try('making the folder', path, at => mkdir(at, { recursive: true }))
    // Callers make durable what lies in the place; that it is there at all, nobody else can.
    if (first === undefined || relative(first, this.place).startsWith('..')) return
    for (let at = dirname(this.place); ; at = dirname(at)) {
      // It may be a folder of somebody else's that cannot be opened.
      await this.#syncFolder(path, at).catch(() => undefined)
      if (relative(dirname(first), at) === '') return
    }
  }

  async create(path: string): Promise<FileSink> {
    const file = await this.#try('creating', path, at => open(at, 'wx'))
    return new LocalSink(file, path)
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#try('reading', path, async at => {
      await using file = await open(at, 'r')
      const bytes = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return filled === length ? bytes : bytes.slice(0, filled)
    })
  }

  async stat(path: string): Promise<FileStat | undefined> {
    return this.#unlessMissing('looking at', path, async at => {
      const found = await stat(at)
      const directory = found.isDirectory()
      return { directory, bytes: directory ? 0 : found.size, modifiedMs: found.mtimeMs }
    })
  }

  async list(path: string): Promise<FileEntry[] | undefined> {
    const entries = await this.#unlessMissing('listing', path, at => readdir(at, { withFileTypes: true }))
    if (entries === undefined) return undefined
    const listed: FileEntry[] = []
    for (const entry of entries) {
      const name = entry.name
      if (entry.isDirectory()) listed.push({ name, directory: true, bytes: 0 })
      else {
        // May be gone by now: then it is not in the list.
        const found = await this.stat(path === '' ? name : `${path}/${name}`)
        if (found !== undefined) listed.push({ name, directory: found.directory, bytes: found.bytes })
      }
    }
    return listed.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async renameExclusive(from: string, to: string): Promise<RenameOutcome> {
    // Folders onto folders: rename refuses one that is not empty, in the same step. A file in the way is refused too.
    try {
      await rename(this.#path(from), this.#path(to))
      return 'done'
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      if (code === 'ENOENT') return 'missing'
      // Windows says EPERM for a folder in the way, and for much else.
      const taken = code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR'
      if (taken || (code === 'EPERM' && (await this.stat(to)) !== undefined)) return 'exists'
      throw systemFilesError(`renaming ${from} to`, to, error)
    }
  }

  async remove(path: string): Promise<void> {
    await this.#try('removing', path, at => rm(at, { recursive: true, force: true }))
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#syncFolder(path, this.#path(path))
  }

  async #syncFolder(path: string, at: string): Promise<void> {
    // Windows has no way to, and needs none.
    if (process.platform === 'win32') return
    await this.#try('making durable', path, async () => {
      await using folder = await open(at, 'r')
      await folder.sync()
    })
  }

  #path(path: string): string {
    if (path === '') return this.place
    const parts = path.split('/')
    if (parts.some(part => part === '' || part === '.' || part === '..')) {
      throw filesError('ERR_CHECKPOINT_IO', 'going to', path)
    }
    return resolve(this.place, ...parts)
  }

  async #try<T>(doing: string, path: string, action: (at: string) => Promise<T>): Promise<T> {
    try {
      return await action(this.#path(path))
    } catch (error) {
      throw systemFilesError(doing, this.#path(path), error)
    }
  }

  async #unlessMissing<T>(
    doing: string,
    path: string,
    action: (at: string) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await action(this.#path(path))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw systemFilesError(doing, this.#path(path), error)
    }
  }
}

class LocalSink implements FileSink {
  readonly #file: FileHandle
  readonly #path: string

  constructor(file: FileHandle, path: string) {
    this.#file = file
    this.#path = path
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.byteLength;) {
        // A write may take less than it was given.
        at += (await this.#file.write(bytes, at, bytes.byteLength - at)).bytesWritten
      }
    } catch (error) {
      throw systemFilesError('writing', this.#path, error)
    }
  }

  async close(): Promise<void> {
    try {
      await this.#file.sync()
    } catch (error) {
      await this.abort()
      throw systemFilesError('making durable', this.#path, error)
    }
    try {
      await this.#file.close()
    } catch (error) {
      throw systemFilesError('closing', this.#path, error)
    }
  }

  async abort(): Promise<void> {
    await this.#file.close().catch(() => undefined)
  }
}
