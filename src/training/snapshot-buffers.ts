import type { SnapshotTensor } from './snapshot.js'

/** Snapshots that may be in use at a time: one that is being written away, one that is being made. */
const BUFFERS = 2

interface SnapshotBuffer {
  buffer: SharedArrayBuffer
  /** The version that it holds for someone; undefined while it is free. */
  version: number | undefined
}

/** Copies what a shard holds, into memory that is used again and that other threads can read. */
export class SnapshotBuffers {
  readonly #buffers: SnapshotBuffer[] = Array.from({ length: BUFFERS }, () => ({
    buffer: new SharedArrayBuffer(0),
    version: undefined,
  }))

  /** Undefined if all buffers are in use: who has them has to give one back first. */
  take(version: number, tensors: readonly SnapshotTensor[]): SnapshotTensor[] | undefined {
    const free = this.#buffers.find(buffer => buffer.version === undefined)
    if (free === undefined) return undefined
    const bytes = tensors.reduce((sum, { values }) => sum + values.byteLength, 0)
    if (free.buffer.byteLength < bytes) free.buffer = new SharedArrayBuffer(bytes)
    free.version = version
    let offset = 0
    return tensors.map(tensor => {
      const values = new Float32Array(free.buffer, offset, tensor.values.length)
      values.set(tensor.values)
      offset += values.byteLength
      return { ...tensor, values }
    })
  }

  /** Whether a snapshot of this version is in use. */
  holds(version: number): boolean {
    return this.#buffers.some(buffer => buffer.version === version)
  }

  /** The snapshot of this version is needed no more; its values may change at once. */
  release(version: number): void {
    for (const buffer of this.#buffers) if (buffer.version === version) buffer.version = undefined
  }
}
