import { Actor, actor, handles } from 'troupe'

/** Takes and gives bytes, wherever it runs. */
@actor('bench-echo', { module: import.meta.url })
export class Echo extends Actor {
  #kept = new Uint8Array(0)

  @handles() echo(value: number): number {
    return value
  }

  @handles() take(bytes: Uint8Array): number {
    return bytes.byteLength
  }

  /** Every call gives the same bytes: what is measured is their way. */
  @handles() give(byteLength: number): Uint8Array {
    if (this.#kept.byteLength !== byteLength) this.#kept = new Uint8Array(byteLength).fill(1)
    return this.#kept
  }
}
