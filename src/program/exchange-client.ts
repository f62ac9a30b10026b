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
  /** The shards that hold its first and its last elements, in the order of shards. */
  readonly firstShard: number
  readonly lastShard: number
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
  /** What the next push is to hold, by variable of its part. */
  readonly #staged = new Map<number, Tfjs.Tensor>()
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
        const shards = placed.map(({ shard }) => shard)
        const [firstShard, lastShard] = [Math.min(...shards), Math.max(...shards)]
        return { variable, slices: placed, firstShard, lastShard, whole }
      }),
    )
  }

  /** Takes what is pushed next for a variable of a part: its gradient, or for state its value; zeros for none. */
  stage(index: number, tensor: Tfjs.Tensor | null | undefined): void {
    this.#staged.get(index)?.dispose()
    if (tensor === null || tensor === undefined) this.#staged.delete(index)
    else this.#staged.set(index, this.#tf.keep(tensor.clone()))
  }

  /** Pushes what is staged to one parameter server after the other. */
  push(
    record: Omit<PushRecord, 'cutAt'>,
    outputs: ArrayLike<number>,
    afterCommit: (shard: number) => void,
  ): void {
    const placed = this.#parts[record.part]!
    const write = (shard: number): void => {
      for (const [index, { firstShard }] of placed.entries()) {
        if (firstShard === shard) this.#write(placed[index]!, this.#staged.get(index))
      }
    }
    this.#exchange.push(record, outputs, { write, afterCommit })
    for (const tensor of this.#staged.values()) tensor.dispose()
    this.#staged.clear()
  }

  #write({ slices, whole }: Placed, tensor: Tfjs.Tensor | undefined): void {
    if (tensor === undefined) {
      for (const { target } of slices) target.fill(0)
    } else if (whole === undefined) {
      for (const { target } of slices) readInto(this.#tf, tensor, target)
    } else {
      readInto(this.#tf, tensor, whole)
      for (const { target, offset, length } of slices) target.set(whole.subarray(offset, offset + length))
    }
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

  /**
   * Waits until this step may be computed, after one that trained this part, and assigns to the variables what they are
   * then: those of one parameter server while others are still at work.
   *
   * @returns milliseconds that went into assigning
   * @throws ERR_PROGRAM_STOPPED when it never may
   */
  receive(part: number, step: number, now: () => number): number {
    let assigningMs = 0
    this.#exchange.receive(part, step, shard => {
      const began = now()
      this.#assign(this.#parts[part]!.filter(({ lastShard }) => lastShard === shard))
      assigningMs += now() - began
    })
    // In exact mode a step changes what its part has; else others may have changed anything meanwhile.
    if (!this.#loose || this.#parts.length === 1) return assigningMs
    const began = now()
    for (const other of this.#parts.keys()) if (other !== part) this.#pull(other, step)
    return assigningMs + now() - began
  }

  /** Assigns to the variables of a part, or of all, what they are when this step begins, for which was waited. */
  assign(part: number, step: number): void {
    if (this.#loose) this.assignAll(step)
    else this.#pull(part, step)
  }

  assignAll(step: number): void {
    for (const part of this.#parts.keys()) this.#pull(part, step)
  }

  #pull(part: number, step: number): void {
    this.#exchange.pull(part, step)
    this.#assign(this.#parts[part]!)
  }

  #assign(variables: readonly Placed[]): void {
    const tf = this.#tf
    tf.tidy(() => {
      for (const placed of variables) {
        placed.variable.assign(tf.tensor(this.#values(placed), placed.variable.shape, 'float32'))
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
