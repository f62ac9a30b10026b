import { TroupeError } from '../errors.js'
import type { ExchangeRegion } from './exchange-region.js'
import type { PartShare, ShardModel } from './shard-model.js'

/** What a worker needs to know to exchange one part of the model with one shard: plain data and shared memory. */
export interface Attachment {
  readonly shard: number
  /** Of the shard's {@link ShardArea}. */
  readonly area: SharedArrayBuffer
  /** The shard's memory. */
  readonly memory: SharedArrayBuffer
  /** Byte offset of the block for the values that the worker pushes. */
  readonly block: number
  /**
   * Four numbers for each of the shard's slices of the part, by variable of the part and offset: where its two
   * versions lie, where the two words that say which is which, and where in the block its pushed values go.
   */
  readonly slices: Float64Array
}

/** Numbers of {@link Attachment.slices} that belong to one slice. */
export const NUMBERS_PER_SLICE = 4

/** One incarnation of a rank's worker, as a shard sees it: its region, and the blocks that its pushes go to. */
export class AttachedWorker {
  readonly region: ExchangeRegion
  /** The step seen last in {@link region}. */
  seen = -1
  readonly #blocks = new Map<number, number>()

  constructor(region: ExchangeRegion) {
    this.region = region
  }

  /** Gives it a block for a part, once. */
  attach({ part, slices, blockBytes }: PartShare, model: ShardModel, area: SharedArrayBuffer): Attachment {
    let block = this.#blocks.get(part.number)
    if (block === undefined) {
      block = model.memory.allocate(blockBytes)
      this.#blocks.set(part.number, block)
    }
    const numbers = slices.flatMap(({ held, at }) => [...held.weights, held.parity, at])
    return {
      shard: model.shard,
      area,
      memory: model.memory.buffer,
      block,
      slices: Float64Array.from(numbers),
    }
  }

  /** @throws ERR_INTERNAL if it was not attached for the part */
  block(part: number): number {
    const block = this.#blocks.get(part)
    if (block !== undefined) return block
    const { rank } = this.region
    throw new TroupeError('ERR_INTERNAL', `rank ${rank} pushed part ${part} without having attached for it`)
  }

  /** Gives its blocks back. Only once its thread is gone: it could still be writing. */
  release(model: ShardModel): void {
    for (const block of this.#blocks.values()) model.memory.free(block)
    this.#blocks.clear()
  }
}
