import type { Random } from '../determinism/index.js'
import { joinPath } from './directory-names.js'
import { filesError } from './files-error.js'
import type { CheckpointFiles, FileEntry, FileSink, FileStat, RenameOutcome } from './files.js'

export type FileOperationKind =
  'makeDirectory' | 'create' | 'write' | 'close' | 'read' | 'stat' | 'list' | 'rename' | 'remove' | 'sync'

/** One call of the port. */
export interface FileOperation {
  /** Counted from 0 over all operations. */
  readonly index: number
  readonly kind: FileOperationKind
  readonly path: string
  /** Of a write; else 0. */
  readonly bytes: number
}

export type FileFault =
  /** A write lands by half; anything else that takes space does nothing. It is refused, and so is all that follows from it. */
  | { readonly kind: 'disk-full' }
  /** Refused, without effect. */
  | { readonly kind: 'io-error' }
  /** A write that reports success lands by half: a broken upload, a lying disk. */
  | { readonly kind: 'torn' }
  /** This bit of what is written or read is another; counted from the end where it is negative. */
  | { readonly kind: 'flip'; readonly bit: number }
  /** Somebody removes the folder of the path just before. */
  | { readonly kind: 'parent-removed' }
  /** The operation is done (a torn write by half), and nothing after it: the process is gone. */
  | { readonly kind: 'stop'; readonly torn?: boolean }
  /** It begins later. */
  | { readonly kind: 'wait'; readonly until: Promise<void> }

/** Which fault happens at an operation. */
export type FaultPlan = (operation: FileOperation) => FileFault | undefined

/** Operations that need space on the disk. */
const TAKES_SPACE: ReadonlySet<FileOperationKind> = new Set(['makeDirectory', 'create', 'write', 'close'])
/** Operations whose bytes a torn or flipped one can change. */
const HAS_BYTES: ReadonlySet<FileOperationKind> = new Set(['write', 'read'])

/** Files on which a plan lets things go wrong; for tests and simulations. */
export class FaultyFiles implements CheckpointFiles {
  readonly place: string
  /** What went wrong so far: a fault that never fires tests nothing. */
  readonly fired: { readonly operation: FileOperation; readonly fault: FileFault }[] = []
  readonly #inner: CheckpointFiles
  readonly #plan: FaultPlan
  #operations = 0
  #stopped = false

  constructor(inner: CheckpointFiles, plan: FaultPlan) {
    this.#inner = inner
    this.#plan = plan
    this.place = inner.place
  }

  /** How many operations were begun. */
  get operations(): number {
    return this.#operations
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#run('makeDirectory', path, () => this.#inner.makeDirectory(path))
  }

  async create(path: string): Promise<FileSink> {
    const sink = await this.#create(path)
    return {
      write: bytes => this.#write(sink, path, bytes),
      close: () => this.#run('close', path, () => sink.close()),
      abort: () => sink.abort(),
    }
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#run(
      'read',
      path,
      () => this.#inner.read(path, offset, length),
      (bytes, fault) => (fault.kind === 'torn' ? half(bytes) : flipped(bytes, fault)),
    )
  }

  async stat(path: string): Promise<FileStat | undefined> {
    return this.#run('stat', path, () => this.#inner.stat(path))
  }

  async list(path: string): Promise<FileEntry[] | undefined> {
    return this.#run('list', path, () => this.#inner.list(path))
  }

  async renameExclusive(from: string, to: string): Promise<RenameOutcome> {
    return this.#run('rename', from, () => this.#inner.renameExclusive(from, to))
  }

  /** One thing after the other, as it is on disks: what is in a folder goes before the folder. */
  async remove(path: string, retired?: 'retired'): Promise<void> {
    for (const { name } of (await this.#inner.list(path)) ?? []) await this.remove(joinPath(path, name))
    await this.#run('remove', path, () => this.#inner.remove(path, retired))
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#run('sync', path, () => this.#inner.syncDirectory(path))
  }

  /** A file that was made before the stop is let go of, as the end of its process would. */
  async #create(path: string): Promise<FileSink> {
    let made: FileSink | undefined
    try {
      return await this.#run('create', path, async () => (made = await this.#inner.create(path)))
    } catch (error) {
      await made?.abort()
      throw error
    }
  }

  async #write(sink: FileSink, path: string, bytes: Uint8Array): Promise<void> {
    let landing = bytes
    await this.#run(
      'write',
      path,
      () => sink.write(landing),
      undefined,
      bytes.byteLength,
      fault => {
        landing = fault.kind === 'flip' ? flipped(bytes, fault) : half(bytes)
      },
    )
  }

  /**
   * @param spoil what a torn or flipped operation gives instead
   * @param prepare what is to be changed before it is done
   */
  async #run<T>(
    kind: FileOperationKind,
    path: string,
    action: () => Promise<T>,
    spoil: (value: T, fault: FileFault) => T = value => value,
    bytes = 0,
    prepare: (fault: FileFault) => void = () => undefined,
  ): Promise<T> {
    if (this.#stopped) throw filesError('ERR_CHECKPOINT_IO', 'after the stop', path)
    const operation = { index: this.#operations++, kind, path, bytes }
    const fault = this.#plan(operation)
    if (fault === undefined || !applies(fault, kind)) return action()
    this.fired.push({ operation, fault })
    switch (fault.kind) {
      case 'wait':
        await fault.until
        return this.#stopped ? this.#run(kind, path, action) : action()
      case 'io-error':
        throw filesError('ERR_CHECKPOINT_IO', kind, path)
      case 'disk-full':
        if (kind === 'write') {
          prepare(fault)
          await action()
        }
        throw filesError('ERR_CHECKPOINT_DISK_FULL', kind, path)
      case 'parent-removed':
        await this.#inner.remove(path.split('/').slice(0, -1).join('/'))
        return action()
      case 'stop':
        this.#stopped = true
        if (fault.torn === true) prepare(fault)
        await action()
        throw filesError('ERR_CHECKPOINT_IO', 'stopped behind', path)
      case 'torn':
      case 'flip':
        prepare(fault)
        return spoil(await action(), fault)
    }
  }
}

/** How often each fault happens, as a part of 1 of the operations that it can happen to. */
export interface DiskFaultRates {
  readonly diskFull?: number
  readonly ioError?: number
  readonly torn?: number
  readonly flip?: number
  readonly parentRemoved?: number
}

/** Faults by chance: the same stream of chance gives the same faults for the same operations. */
export function randomDiskFaults(random: Random, rates: DiskFaultRates): FaultPlan {
  const faults: [rate: number, fault: (bytes: number) => FileFault][] = [
    [rates.diskFull ?? 0, () => ({ kind: 'disk-full' })],
    [rates.ioError ?? 0, () => ({ kind: 'io-error' })],
    [rates.torn ?? 0, () => ({ kind: 'torn' })],
    [rates.flip ?? 0, bytes => ({ kind: 'flip', bit: random.below(Math.max(1, bytes * 8)) })],
    [rates.parentRemoved ?? 0, () => ({ kind: 'parent-removed' })],
  ]
  return ({ bytes }) => {
    for (const [rate, fault] of faults) if (rate > 0 && random.next() < rate) return fault(bytes)
    return undefined
  }
}

function applies(fault: FileFault, kind: FileOperationKind): boolean {
  if (fault.kind === 'disk-full') return TAKES_SPACE.has(kind)
  if (fault.kind === 'torn' || fault.kind === 'flip') return HAS_BYTES.has(kind)
  return true
}

function half(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.byteLength >> 1)
}

function flipped(bytes: Uint8Array, fault: FileFault): Uint8Array {
  const copy = bytes.slice()
  if (fault.kind !== 'flip' || copy.byteLength === 0) return copy
  const bits = copy.byteLength * 8
  const bit = ((fault.bit % bits) + bits) % bits
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}
