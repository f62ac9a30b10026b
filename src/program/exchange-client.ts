import type * as Tfjs from '@tensorflow/tfjs'
import { TroupeError } from '../errors.js'
import { readInto } from '../tensor/index.js'
import {
  ExchangeRegion,
  planLayout,
  ShardArea,
  type JournalEntry,
  type ModelSpec,
  type PushRecord,
  type Slice,
} from '../training/index.js'
import type { JoinReply } from './protocol.js'

/** A variable and where its elements go. */
interface Placed {
  readonly variable: Tfjs.Variable
  readonly slices: readonly Slice[]
  /** Of a variable that is divided: its elements in one piece. */
  readonly whole: Float32Array | undefined
}

/** The program's side of the exchange with the parameter servers: tensors in, tensors out, blocking waits. */
export class ExchangeClient {
  readonly region: ExchangeRegion
  readonly #tf: typeof Tfjs
  readonly #areas: readonly ShardArea[]
  readonly #placed: readonly Placed[]
  /** The wasm backend copies what it is given; the others may keep it. */
  readonly #copies: boolean

  /** @param variables in the order of the model's */
  constructor(tf: typeof Tfjs, reply: JoinReply, model: ModelSpec, variables: readonly Tfjs.Variable[]) {
    this.#tf = tf
    this.#copies = tf.getBackend() === 'wasm'
    this.region = new ExchangeRegion(reply.region)
    this.#areas = reply.areas.map(buffer => new ShardArea(buffer))
    const layout = planLayout(model.variables, this.#areas.length)
    this.#placed = variables.map((variable, index) => {
      const slices = layout.slices.filter(slice => slice.variable === index)
      return { variable, slices, whole: slices.length > 1 ? new Float32Array(variable.size) : undefined }
    })
  }

  get shards(): number {
    return this.#areas.length
  }

  /** Writes what is pushed for a variable: its gradient, or for state its value; zeros for none. */
  write(index: number, tensor: Tfjs.Tensor | null | undefined): void {
    const { slices, whole } = this.#placed[index]!
    if (tensor === null || tensor === undefined) {
      for (const slice of slices) this.#target(slice).fill(0)
    } else if (whole === undefined) {
      for (const slice of slices) readInto(this.#tf, tensor, this.#target(slice))
    } else {
      readInto(this.#tf, tensor, whole)
      for (const slice of slices) {
        this.#target(slice).set(whole.subarray(slice.offset, slice.offset + slice.length))
      }
    }
  }

  writeOutputs(outputs: ArrayLike<number>): void {
    this.region.outputs.set(outputs)
  }

  /** Makes the push visible to one parameter server after the other. */
  push(record: PushRecord, afterCommit: (shard: number) => void): void {
    this.region.stage(record)
    for (const [shard, area] of this.#areas.entries()) {
      this.region.commit(shard)
      area.bell.ring()
      afterCommit(shard)
    }
  }

  /**
   * Blocks until every parameter server has the version.
   *
   * @throws ERR_PROGRAM_STOPPED when there will be none
   */
  wait(version: number): void {
    for (const area of this.#areas) {
      if (area.waitForVersion(version) === 'closed') continue
      throw new TroupeError(
        'ERR_PROGRAM_STOPPED',
        `parameter server ${area.shard} stopped before version ${version}`,
      )
    }
  }

  /** What user code sees of the step that made the version: loss and metrics over all ranks. */
  answer(version: number): JournalEntry {
    const [first] = this.#areas
    return { outputs: first!.outputs(version).slice(), rows: first!.rows(version) }
  }

  /** Assigns the version's values to the variables. */
  assign(version: number): void {
    const tf = this.#tf
    tf.tidy(() => {
      for (const placed of this.#placed) {
        const values = this.#values(placed, version)
        placed.variable.assign(tf.tensor(values, placed.variable.shape, 'float32'))
      }
    })
  }

  #values({ variable, slices, whole }: Placed, version: number): Float32Array {
    if (whole === undefined && slices.length === 1) {
      const values = this.#source(slices[0]!, version)
      return this.#copies ? values : values.slice()
    }
    const values = this.#copies && whole !== undefined ? whole : new Float32Array(variable.size)
    for (const slice of slices) values.set(this.#source(slice, version), slice.offset)
    return values
  }

  #source({ shard, at, length }: Slice, version: number): Float32Array {
    return this.#areas[shard]!.weights(version).subarray(at, at + length)
  }

  #target({ shard, at, length }: Slice): Float32Array {
    return this.region.values(shard).subarray(at, at + length)
  }
}
