import type * as Tfjs from '@tensorflow/tfjs'
import { readInto } from '../tensor/index.js'
import {
  RankExchange,
  type ExchangedSlice,
  type ExchangeRegion,
  type JournalEntry,
  type ModelPart,
  type PushRecord,
} from '../training/index.js'
import type { JoinReply } from './protocol.js'

/** A variable and where its elements go. */
interface Placed {
  readonly variable: Tfjs.Variable
  readonly slices: readonly ExchangedSlice[]
  /** Of a variable that is divided: its elements in one piece. */
  readonly whole: Float32Array | undefined
}

/** The program's side of the exchange with the parameter servers: tensors in, tensors out, blocking waits. */
export class ExchangeClient {
  readonly #tf: typeof Tfjs
  readonly #exchange: RankExchange
  /** By number of the part, in the order of its variables. */
  readonly #parts: (readonly Placed[])[] = []
  readonly #loose: boolean
  /** The wasm backend copies what it is given; the others may keep it. */
  readonly #copies: boolean

  /** @param reply to the first join */
  constructor(tf: typeof Tfjs, { region, servers }: JoinReply, staleness: number) {
    this.#tf = tf
    this.#copies = tf.getBackend() === 'wasm'
    this.#loose = staleness > 0
    this.#exchange = new RankExchange({ region, shards: servers.length, staleness })
  }

  get region(): ExchangeRegion {
    return this.#exchange.region
  }

  /** @param variables in the order of the part's */
  addPart(spec: ModelPart, { servers }: JoinReply, variables: readonly Tfjs.Variable[]): void {
    this.#exchange.addPart(spec, servers)
    const slices = this.#exchange.slices(this.#parts.length)
    this.#parts.push(
      variables.map((variable, i) => {
        const placed = slices[i]!
        const whole = placed.length > 1 ? new Float32Array(variable.size) : undefined
        return { variable, slices: placed, whole }
      }),
    )
  }

  /** Writes what is pushed for a variable of a part: its gradient, or for state its value; zeros for none. */
  write(part: number, index: number, tensor: Tfjs.Tensor | null | undefined): void {
    const { slices, whole } = this.#parts[part]![index]!
    if (tensor === null || tensor === undefined) {
      for (const { target } of slices) target.fill(0)
    } else if (whole === undefined) {
      for (const { target } of slices) readInto(this.#tf, tensor, target)
    } else {
      readInto(this.#tf, tensor, whole)
      for (const { target, offset, length } of slices) target.set(whole.subarray(offset, offset + length))
    }
  }

  /** Makes the push visible to one parameter server after the other. */
  push(
    record: Omit<PushRecord, 'cutAt'>,
    outputs: ArrayLike<number>,
    afterCommit: (shard: number) => void,
  ): void {
    this.#exchange.push(record, outputs, afterCommit)
  }

  /**
   * Blocks until this step may be computed.
   *
   * @throws ERR_PROGRAM_STOPPED when it never may
   */
  wait(step: number): void {
    this.#exchange.wait(step)
  }

  /** Runs what may block until other workers go on. */
  parked<T>(run: () => T): T {
    return this.#exchange.parked(run)
  }

  /** What user code sees of the step before this one: loss and metrics over all ranks. */
  answer(step: number): JournalEntry {
    return this.#exchange.answer(step)
  }

  /** Assigns to the variables what they are when this step begins, after one that trained this part. */
  assign(part: number, step: number): void {
    // In exact mode a step changes what its part has; else others may have changed anything meanwhile.
    if (this.#loose) this.assignAll(step)
    else this.#assign(part, step)
  }

  assignAll(step: number): void {
    for (const part of this.#parts.keys()) this.#assign(part, step)
  }

  #assign(part: number, step: number): void {
    const tf = this.#tf
    this.#exchange.pull(part, step)
    tf.tidy(() => {
      for (const placed of this.#parts[part]!) {
        const values = this.#values(placed)
        placed.variable.assign(tf.tensor(values, placed.variable.shape, 'float32'))
      }
    })
  }

  #values({ variable, slices, whole }: Placed): Float32Array {
    if (whole === undefined && slices.length === 1) {
      const values = slices[0]!.pulled
      return this.#copies ? values : values.slice()
    }
    const values = this.#copies && whole !== undefined ? whole : new Float32Array(variable.size)
    for (const { pulled, offset } of slices) values.set(pulled, offset)
    return values
  }
}
