import type { Shard } from 'troupe/training'

/**
 * What servers tell each other so that workers which are apart stop for a cut, and go on: server 0 that it has raised a
 * marker, the others that they have heeded it. Saying it again does no harm, so what is lost may be repeated.
 */
export class MarkerTalk {
  readonly #shard: Shard
  readonly #tell: (marker: number) => void
  /** What was told last. */
  #told = 0
  /** Server 0: by shard, the marker that it heeded last. */
  readonly #heeded = new Map<number, number>()

  /** @param tell sends a marker: from server 0 to all others, from those to server 0 */
  constructor(shard: Shard, tell: (marker: number) => void) {
    this.#shard = shard
    this.#tell = tell
  }

  /** Server 0 has raised the marker; or, told to server 0, another one has heeded it. */
  hear(from: number, marker: number): void {
    if (from !== 0) {
      this.#heeded.set(from, Math.max(this.#heeded.get(from) ?? 0, marker))
      return
    }
    this.#shard.marker.hear(marker)
    // It is told a second time where the answer was lost.
    if (marker <= this.#told) this.#told = 0
  }

  /** Tells what is new; on server 0 lowers a marker that all have heeded. To be called after each look at the shard. */
  look(): void {
    const { marker, options } = this.#shard
    const news = options.shard === 0 ? marker.raised : marker.heeded
    if (news > this.#told) this.#say(news)
    if (options.shard !== 0 || marker.raised === 0) return
    const behind = Array.from({ length: options.shards }, (_, shard) => shard).some(
      shard => (shard === 0 ? marker.heeded : (this.#heeded.get(shard) ?? 0)) < marker.raised,
    )
    if (!behind) marker.lower(marker.raised)
  }

  /** Server 0 tells once more of a marker that is still raised. */
  again(): void {
    const { marker, options } = this.#shard
    if (options.shard === 0 && marker.raised > 0) this.#say(marker.raised)
  }

  #say(marker: number): void {
    this.#told = marker
    this.#tell(marker)
  }
}
