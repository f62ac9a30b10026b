import type { Random } from '../determinism/index.js'

export type MemoryNode = MemoryFolder | MemoryFile

/** A file of `MemoryFiles`. */
export class MemoryFile {
  content = new Uint8Array()
  modifiedMs: number
  #durableBytes = 0

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs
  }

  append(bytes: Uint8Array, nowMs: number): void {
    const longer = new Uint8Array(this.content.byteLength + bytes.byteLength)
    longer.set(this.content)
    longer.set(bytes, this.content.byteLength)
    this.content = longer
    this.modifiedMs = nowMs
  }

  makeDurable(): void {
    this.#durableBytes = this.content.byteLength
  }

  /** What is left of it: all that was durable, and some of the rest. */
  losePower(random: Random): MemoryFile {
    const left = new MemoryFile(this.modifiedMs)
    const extra = this.content.byteLength - this.#durableBytes
    left.content = this.content.slice(0, this.#durableBytes + random.below(extra + 1))
    left.makeDurable()
    return left
  }
}

/** A folder of `MemoryFiles`. Paths are lists of names below it. */
export class MemoryFolder {
  readonly entries = new Map<string, MemoryNode>()
  readonly modifiedMs: number

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs
  }

  find([name, ...rest]: readonly string[]): MemoryNode | undefined {
    if (name === undefined) return this
    const node = this.entries.get(name)
    if (node instanceof MemoryFolder) return node.find(rest)
    return rest.length === 0 ? node : undefined
  }

  /** Lays a node where the path says, in place of what was there. The folder must be there. */
  put(parts: readonly string[], node: MemoryNode): void {
    const folder = this.find(parts.slice(0, -1))
    if (folder instanceof MemoryFolder) folder.entries.set(parts.at(-1) ?? '', node)
  }

  take(parts: readonly string[]): MemoryNode | undefined {
    const folder = this.find(parts.slice(0, -1))
    const name = parts.at(-1) ?? ''
    if (!(folder instanceof MemoryFolder)) return undefined
    const node = folder.entries.get(name)
    folder.entries.delete(name)
    return node
  }

  /** The same tree with folders of its own, and what `ofFile` makes of each file. */
  copy(ofFile: (file: MemoryFile) => MemoryFile): MemoryFolder {
    const copied = new MemoryFolder(this.modifiedMs)
    for (const [name, node] of this.entries) {
      copied.entries.set(name, node instanceof MemoryFolder ? node.copy(ofFile) : ofFile(node))
    }
    return copied
  }
}
