import { Actor, actor, Args, handles, inject, TensorData, type ActorRef } from 'troupe'

/** As little of it as is used here: Node's types do not know it. */
interface SharedMemory {
  readonly buffer: SharedArrayBuffer
  grow(pages: number): number
}
type MemoryClass = new (pages: { initial: number; maximum: number; shared: true }) => SharedMemory
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: MemoryClass } }).WebAssembly

export interface HolderArgs {
  /** Counts the steps that were taken, for whoever waits in shared memory. */
  readonly versions: Int32Array
}

/** A parameter server in small: gradients come, and weights are read, in shared memory; messages only name it. */
@actor('test-holder', { module: import.meta.url })
export class Holder extends Actor {
  readonly #memory = new Memory({ initial: 1, maximum: 8, shared: true })
  readonly #versions: Int32Array
  #weights = new Float32Array(this.#memory.buffer, 64, 4)
  readonly #regions = new Map<number, Float32Array>()

  constructor(@inject(Args) { versions }: HolderArgs) {
    super()
    this.#versions = versions
  }

  /** Answers with the weights' own memory. */
  @handles() attach(rank: number, region: SharedArrayBuffer): SharedArrayBuffer {
    this.#regions.set(rank, new Float32Array(region))
    return this.#weights.buffer
  }

  /** Takes a step on what lies in the regions. */
  @handles() step(): number {
    for (const region of this.#regions.values()) {
      for (const [i, gradient] of region.entries()) this.#weights[i]! -= gradient / this.#regions.size
    }
    const version = Atomics.add(this.#versions, 0, 1) + 1
    Atomics.notify(this.#versions, 0)
    return version
  }

  /** After more memory was needed, the old buffer's end is not the memory's end: both are the same bytes. */
  @handles() grow(): Uint8Array {
    this.#memory.grow(1)
    this.#weights = new Float32Array(this.#memory.buffer, 64, 4)
    return new Uint8Array(this.#memory.buffer)
  }

  @handles() weights(): TensorData<'float32'> {
    return TensorData.of('float32', this.#weights, [2, 2])
  }

  /** Gives its weights to another one by reference. */
  @handles() async lend(to: ActorRef<Holder>): Promise<boolean> {
    const theirs = await to.ask.attach(7, this.#weights.buffer)
    return theirs instanceof SharedArrayBuffer
  }

  @handles() throwWith(): void {
    throw Object.assign(new Error('with memory'), { data: { weights: this.#weights } })
  }
}
