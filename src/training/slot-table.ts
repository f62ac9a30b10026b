import { updateRule, type OptimizerSpec } from './optimizer.js'
import type { Slice } from './layout.js'

/** State that an optimizer keeps for one slice. */
export interface SlotEntry {
  readonly optimizer: string
  readonly slot: string
  readonly slice: Slice
  readonly values: Float32Array
}

/** The optimizers' state on one shard, by (optimizer id, variable, slice); zero until an update changes it. */
export class SlotTable {
  readonly #entries = new Map<string, readonly SlotEntry[]>()

  /** The arrays for this optimizer and slice, in the order of the update rule's slots. */
  of(spec: OptimizerSpec, slice: Slice): readonly Float32Array[] {
    const key = `${spec.id}/${slice.variable}/${slice.offset}`
    let entries = this.#entries.get(key)
    if (entries === undefined) {
      entries = updateRule(spec.name).slots.map(slot => ({
        optimizer: spec.id,
        slot,
        slice,
        values: new Float32Array(slice.length),
      }))
      this.#entries.set(key, entries)
    }
    return entries.map(entry => entry.values)
  }

  /** All of them, in the order of their first use. */
  *entries(): IterableIterator<SlotEntry> {
    for (const entries of this.#entries.values()) yield* entries
  }
}
