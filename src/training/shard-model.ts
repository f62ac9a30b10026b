import { TroupeError } from '../errors.js'
import { introducedSlices, JobModel, type PlacedPart } from './job-model.js'
import type { Slice } from './layout.js'
import type { ModelPart } from './model-spec.js'
import { slotsOf, type OptimizerSpec } from './optimizer.js'
import { ShardMemory } from './shard-memory.js'
import { shardTensors } from './shard-tensors.js'
import type { SnapshotReader, SnapshotTensor, TensorInterval } from './snapshot.js'

/** A slice of a variable in a shard's memory; offsets in bytes. */
export interface HeldSlice {
  readonly slice: Slice
  /** Where its two versions lie. */
  readonly weights: readonly [number, number]
  /** Where two words (int32) say which of them belongs to the even and which to the odd version of the shard. */
  readonly parity: number
  readonly sides: Int32Array
}

/** A slice as one part of the model sees it. */
export interface PartSlice {
  readonly held: HeldSlice
  /** Position of its variable in the part. */
  readonly variable: number
  readonly trainable: boolean
  /** Where its values lie in a block of pushed values, in bytes. */
  readonly at: number
  /** What the part's optimizer keeps for it: byte offsets in the order of its slots; none for state. */
  readonly slots: readonly number[]
}

/** What one shard has of a part. */
export interface PartShare {
  readonly part: PlacedPart
  /** By variable of the part, then offset. */
  readonly slices: readonly PartSlice[]
  readonly held: ReadonlySet<HeldSlice>
  /** Of a block of pushed values. */
  readonly blockBytes: number
}

const FLOAT32_BYTES = Float32Array.BYTES_PER_ELEMENT

/** In a block of pushed values slices begin at multiples of a SIMD vector. */
const VECTOR_BYTES = 16

/** A shard's part of the model in its memory: two versions of its slices, and what optimizers keep for them. */
export class ShardModel {
  readonly shard: number
  readonly memory = new ShardMemory()
  readonly #model: JobModel
  readonly #shares: PartShare[] = []
  readonly #held = new Map<string, HeldSlice>()
  /** By optimizer and slice. */
  readonly #slots = new Map<string, readonly number[]>()

  constructor(shard: number, shards: number) {
    this.shard = shard
    this.#model = new JobModel(shards)
  }

  get job(): JobModel {
    return this.#model
  }

  get shares(): readonly PartShare[] {
    return this.#shares
  }

  /**
   * Takes a part. A part that is there already must be the same, and keeps its values.
   *
   * @param initial this shard's slices of the variables that are new in it, in the order of `introducedSlices`
   * @param version the newest version, to which the values belong
   * @returns whether the part is new
   * @throws ERR_RANKS_DIVERGED, ERR_LAYOUT
   */
  define(
    number: number,
    spec: ModelPart,
    rank: number,
    initial: readonly Float32Array[],
    version: number,
  ): boolean {
    const known = number < this.#shares.length
    const part = this.#model.agree(number, spec, rank)
    if (known) return false
    const slices = introducedSlices(part, this.shard)
    if (slices.length !== initial.length || slices.some(({ length }, i) => initial[i]!.length !== length)) {
      throw new TroupeError(
        'ERR_INTERNAL',
        `shard ${this.shard} got ${initial.length} slices of initial values for part ${number}, not ${slices.length}`,
      )
    }
    this.#hold(part)
    for (const [i, slice] of slices.entries()) this.weights(this.held(slice), version).set(initial[i]!)
    return true
  }

  /** Takes parts whose values are read from a snapshot. */
  restore(parts: readonly ModelPart[], snapshot: SnapshotReader, version: number): void {
    for (const spec of parts) this.#hold(this.#model.add(spec))
    for (const { interval, values } of this.#contents(version)) snapshot.read(interval, values)
  }

  held(slice: Slice): HeldSlice {
    return this.#held.get(sliceKey(slice))!
  }

  /** Which of its two places holds a slice in this version; readable for the newest version and the one before. */
  side({ sides }: HeldSlice, version: number): 0 | 1 {
    return sides[version % 2] as 0 | 1
  }

  /** A view of the slice in a version. */
  weights(held: HeldSlice, version: number): Float32Array {
    return this.memory.float32(held.weights[this.side(held, version)], held.slice.length)
  }

  /**
   * Prepares the next version: each slice stays where it is, unless it is among those that are updated. To be called
   * when those have been written.
   */
  turn(version: number, updated: ReadonlySet<HeldSlice>): void {
    for (const held of this.#held.values()) {
      const side = this.side(held, version)
      held.sides[(version + 1) % 2] = updated.has(held) ? 1 - side : side
    }
  }

  /** Everything that makes this shard's state, as views: weights of the newest version, then slots. */
  tensors(version: number): SnapshotTensor[] {
    return this.#contents(version).map(({ interval: { variable, kind, shape, offset }, values }) => ({
      variable,
      kind,
      shape,
      offset,
      values,
    }))
  }

  #hold(part: PlacedPart): void {
    const fresh = introducedSlices(part, this.shard)
    const words = this.memory.allocate(2 * fresh.length * Int32Array.BYTES_PER_ELEMENT)
    for (const [i, slice] of fresh.entries()) {
      const bytes = slice.length * FLOAT32_BYTES
      const parity = words + 2 * i * Int32Array.BYTES_PER_ELEMENT
      this.#held.set(sliceKey(slice), {
        slice,
        weights: [this.memory.allocate(bytes), this.memory.allocate(bytes)],
        parity,
        sides: this.memory.int32(parity, 2),
      })
    }
    let at = 0
    const slices = part.variables.flatMap(({ slices, trainable }, variable) =>
      slices
        .filter(slice => slice.shard === this.shard)
        .map(slice => {
          const placed = {
            held: this.held(slice),
            variable,
            trainable,
            at,
            slots: trainable ? this.#slotsFor(part.spec.optimizer, slice) : [],
          }
          at += Math.ceil((slice.length * FLOAT32_BYTES) / VECTOR_BYTES) * VECTOR_BYTES
          return placed
        }),
    )
    const held = new Set(slices.map(slice => slice.held))
    this.#shares.push({ part, slices, held, blockBytes: at })
  }

  #slotsFor(optimizer: OptimizerSpec, slice: Slice): readonly number[] {
    const key = slotKey(optimizer.id, slice)
    let offsets = this.#slots.get(key)
    if (offsets === undefined) {
      offsets = slotsOf(optimizer).map(({ initial }) => {
        const offset = this.memory.allocate(slice.length * FLOAT32_BYTES)
        if (initial !== 0) this.memory.float32(offset, slice.length).fill(initial)
        return offset
      })
      this.#slots.set(key, offsets)
    }
    return offsets
  }

  #contents(version: number): { interval: TensorInterval; values: Float32Array }[] {
    return shardTensors(this.#model, this.shard).map(({ interval, slice, slot }) => {
      if (slot === undefined) return { interval, values: this.weights(this.held(slice), version) }
      const offset = this.#slots.get(slotKey(slot.optimizer, slice))![slot.index]!
      return { interval, values: this.memory.float32(offset, slice.length) }
    })
  }
}

function slotKey(optimizer: string, slice: Slice): string {
  return `${optimizer}/${sliceKey(slice)}`
}

function sliceKey({ variable, offset }: Slice): string {
  return `${variable}/${offset}`
}
