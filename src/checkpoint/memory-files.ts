import type { Random } from '../determinism/index.js'
import { filesError } from './files-error.js'
import type { CheckpointFiles, FileEntry, FileSink, FileStat, RenameOutcome } from './files.js'
import { MemoryFile, MemoryFolder, type MemoryNode } from './memory-tree.js'

export interface MemoryFilesOptions {
  /** Time of the file system, in milliseconds. @default one more for each change */
  readonly nowMs?: () => number
  /** As HDFS does: creating a file makes the folders above it. @default false, as local disks do */
  readonly makesFolders?: boolean
}

/** A change of the tree that a loss of power may undo: it is done again on what was durable. */
interface Change {
  /** Folders whose entries it changes. */
  readonly folders: readonly string[]
  readonly redo: (root: MemoryFolder) => void
}

/**
 * A file system in memory, for tests and simulations, which also says what a loss of power leaves: contents up to the
 * last `close`, entries of folders up to the last `syncDirectory`. Changes of entries become durable in their order,
 * as journalling file systems have it; those that were not made so are lost from some point on.
 */
export class MemoryFiles implements CheckpointFiles {
  readonly place = 'memory'
  readonly #nowMs: () => number
  readonly #makesFolders: boolean
  #root: MemoryFolder
  #durable: MemoryFolder
  #pending: Change[] = []
  #changes = 0

  constructor(options: MemoryFilesOptions = {}) {
    this.#nowMs = options.nowMs ?? (() => this.#changes)
    this.#makesFolders = options.makesFolders ?? false
    this.#root = new MemoryFolder(0)
    this.#durable = new MemoryFolder(0)
  }

  async makeDirectory(path: string): Promise<void> {
    const parts = split(path)
    for (let depth = 1; depth <= parts.length; depth++) this.#makeOne(parts.slice(0, depth))
  }

  async create(path: string): Promise<FileSink> {
    const parts = split(path)
    const parent = parts.slice(0, -1)
    if (this.#makesFolders) await this.makeDirectory(parent.join('/'))
    if (!(this.#find(parent) instanceof MemoryFolder)) {
      throw filesError('ERR_CHECKPOINT_MISSING', 'creating', path)
    }
    if (this.#find(parts) !== undefined) throw filesError('ERR_CHECKPOINT_EXISTS', 'creating', path)
    const file = new MemoryFile(this.#tick())
    this.#change([parent.join('/')], root => root.put(parts, file))
    return {
      write: async bytes => file.append(bytes, this.#tick()),
      close: async () => file.makeDurable(),
      abort: async () => undefined,
    }
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    const file = this.#find(split(path))
    if (file === undefined) throw filesError('ERR_CHECKPOINT_MISSING', 'reading', path)
    if (file instanceof MemoryFolder) throw filesError('ERR_CHECKPOINT_UNREADABLE', 'reading', path)
    return file.content.slice(offset, offset + length)
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const found = this.#find(split(path))
    return found === undefined ? undefined : { ...describeNode(found), modifiedMs: found.modifiedMs }
  }

  async list(path: string): Promise<FileEntry[] | undefined> {
    const folder = this.#find(split(path))
    if (!(folder instanceof MemoryFolder)) return undefined
    const entries = [...folder.entries].map(([name, node]) => Object.assign(describeNode(node), { name }))
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async renameExclusive(from: string, to: string): Promise<RenameOutcome> {
    const source = split(from)
    const target = split(to)
    const [sourceParent, targetParent] = [source.slice(0, -1), target.slice(0, -1)]
    if (this.#find(source) === undefined) return 'missing'
    if (!(this.#find(targetParent) instanceof MemoryFolder)) return 'missing'
    const there = this.#find(target)
    // As POSIX has it: an empty folder gives way.
    if (there instanceof MemoryFile || (there !== undefined && there.entries.size > 0)) return 'exists'
    this.#tick()
    this.#change([sourceParent.join('/'), targetParent.join('/')], root => {
      const node = root.take(source)
      if (node !== undefined) root.put(target, node)
    })
    return 'done'
  }

  async remove(path: string): Promise<void> {
    const parts = split(path)
    if (this.#find(parts) === undefined) return
    this.#tick()
    if (parts.length === 0) for (const name of [...this.#root.entries.keys()]) await this.remove(name)
    else this.#change([parts.slice(0, -1).join('/')], root => void root.take(parts))
  }

  async syncDirectory(path: string): Promise<void> {
    if (!(this.#find(split(path)) instanceof MemoryFolder)) {
      throw filesError('ERR_CHECKPOINT_MISSING', 'making durable', path)
    }
    const last = this.#pending.findLastIndex(change => change.folders.includes(path))
    for (const change of this.#pending.splice(0, last + 1)) change.redo(this.#durable)
  }

  /**
   * The power goes and comes back: what was not made durable is lost in part, as chance has it. Sinks that are open
   * must not be used afterwards.
   */
  losePower(random: Random): void {
    const kept = random.below(this.#pending.length + 1)
    for (const change of this.#pending.slice(0, kept)) change.redo(this.#durable)
    this.#pending = []
    this.#root = this.#durable.copy(file => file.losePower(random))
    this.#durable = this.#root.copy(file => file)
  }

  /** Changes the bytes of a file behind everybody's back, as a failing disk does. */
  tamper(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const file = this.#find(split(path))
    if (!(file instanceof MemoryFile)) throw filesError('ERR_CHECKPOINT_MISSING', 'tampering with', path)
    file.content = new Uint8Array(change(file.content.slice()))
  }

  #makeOne(parts: readonly string[]): void {
    const there = this.#find(parts)
    if (there instanceof MemoryFolder) return
    if (there !== undefined) throw filesError('ERR_CHECKPOINT_EXISTS', 'making the folder', parts.join('/'))
    const madeMs = this.#tick()
    this.#change([parts.slice(0, -1).join('/')], root => root.put(parts, new MemoryFolder(madeMs)))
  }

  #change(folders: readonly string[], redo: (root: MemoryFolder) => void): void {
    redo(this.#root)
    this.#pending.push({ folders, redo })
  }

  #find(parts: readonly string[]): MemoryNode | undefined {
    return this.#root.find(parts)
  }

  #tick(): number {
    this.#changes++
    return this.#nowMs()
  }
}

function split(path: string): string[] {
  return path === '' ? [] : path.split('/')
}

function describeNode(node: MemoryNode): { directory: boolean; bytes: number } {
  const directory = node instanceof MemoryFolder
  return { directory, bytes: directory ? 0 : node.content.byteLength }
}
