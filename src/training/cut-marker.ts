import { PARKED } from './exchange-region.js'
import type { ShardCore } from './shard-core.js'

/**
 * How shards agree on a cut in the modes beside exact mode. Shard 0 raises a marker; each rank stops where all shards
 * have the same steps of it; a shard that sees all of them stopped heeds the marker, which is the moment of its cut; when
 * every shard has, shard 0 lowers the marker, and ranks go on.
 */
export class CutMarker {
  readonly #core: ShardCore
  /** Another shard than 0: what shard 0 raised last, as this one was told. */
  #heard = 0
  #heeded = 0

  constructor(core: ShardCore) {
    this.#core = core
  }

  /** The marker for which ranks are to stop, as far as this shard knows; 0 for none. */
  get raised(): number {
    const { area, options } = this.#core
    return options.shard === 0 ? area.marker : this.#heard
  }

  /** The last one that this shard is done with. */
  get heeded(): number {
    return this.#heeded
  }

  /** Shard 0: asks ranks to stop, unless they are asked already. */
  raise(): void {
    if (this.#core.area.marker === 0) this.#core.area.setMarker(this.#heeded + 1)
  }

  /** Shard 0 has raised it. Ranks that stop for it say so as well, but those that wait for each other do not look. */
  hear(marker: number): void {
    this.#heard = Math.max(this.#heard, marker)
  }

  /** Shard 0: every shard has heeded it, so ranks may go on. */
  lower(marker: number): void {
    if (this.#core.area.marker === marker) this.#core.area.setMarker(0)
  }

  /** Heeds a marker if all ranks have stopped for it, or do nothing that could change a version; 0 if not. */
  heed(): number {
    // Twice: a rank seen parked in the first pass may have gone on before the marker was raised, but not after.
    const marker = this.#stoppedFor() > this.#heeded ? this.#stoppedFor() : 0
    if (marker > 0) this.#heeded = marker
    return marker
  }

  /** The marker for which all ranks have stopped; 0 if one goes on. */
  #stoppedFor(): number {
    const { desk, options } = this.#core
    let marker = this.raised
    for (let rank = 0; rank < options.ranks; rank++) {
      if (desk.finished(rank)) continue
      const halted = desk.halted(rank)
      if (halted === 0) return 0
      if (halted !== PARKED) marker = Math.max(marker, halted)
    }
    return marker
  }
}
