import type { Layout, Slice } from './layout.js'
import type { ModelSpec } from './model-spec.js'
import { updateRule, type ElementUpdate, type OptimizerSpec } from './optimizer.js'
import { TreeReduction } from './reduction.js'
import type { ShardArea } from './shard-area.js'
import { SlotTable, type SlotEntry } from './slot-table.js'

/** What a slice is updated by, in one step of one optimizer. */
interface OptimizerState {
  readonly spec: OptimizerSpec
  readonly variables: ReadonlySet<number>
  /** Updates made; each optimizer counts its own. */
  iterations: number
}

/** The arithmetic of one shard: makes version t + 1 of its slices from version t and the ranks' pushes. */
export class ShardUpdate {
  readonly #slices: readonly Slice[]
  readonly #model: ModelSpec
  readonly #area: ShardArea
  readonly #mean: Float32Array
  readonly #reduction: TreeReduction
  readonly #optimizers: readonly OptimizerState[]
  readonly #slots = new SlotTable()

  constructor(model: ModelSpec, layout: Layout, area: ShardArea, ranks: number) {
    this.#model = model
    this.#area = area
    this.#slices = layout.slices.filter(slice => slice.shard === area.shard)
    this.#mean = new Float32Array(area.elements)
    this.#reduction = new TreeReduction(ranks)
    this.#optimizers = model.optimizers.map(({ spec, variables }) => ({
      spec,
      variables: new Set(variables),
      iterations: 0,
    }))
  }

  /**
   * @param values each rank's values for this shard
   * @param rows each rank's weight; if all are 0, the version changes and the weights do not
   */
  apply(version: number, optimizer: number, values: readonly Float32Array[], rows: readonly number[]): void {
    const from = this.#area.weights(version)
    const to = this.#area.weights(version + 1)
    const state = this.#optimizers[optimizer]!
    const weighted = this.#reduction.reduce(this.#mean, values, rows)
    const update = weighted ? this.#prepare(state) : undefined
    for (const slice of this.#slices) {
      const [begin, end] = [slice.at, slice.at + slice.length]
      const trainable = this.#model.variables[slice.variable]!.trainable
      if (weighted && !trainable) {
        this.#updateState(to, slice, values, rows)
      } else if (update !== undefined && state.variables.has(slice.variable)) {
        const slots = this.#slots.of(state.spec, slice)
        update(from.subarray(begin, end), to.subarray(begin, end), this.#mean.subarray(begin, end), slots)
      } else {
        to.set(from.subarray(begin, end), begin)
      }
    }
  }

  /** The mean, except that a value on which all agree stays as it is, to the bit: nothing drifts by rounding. */
  #updateState(
    to: Float32Array,
    slice: Slice,
    values: readonly Float32Array[],
    rows: readonly number[],
  ): void {
    const pushed = values.filter((_, rank) => rows[rank]! > 0)
    const [first, ...others] = pushed
    for (let i = slice.at; i < slice.at + slice.length; i++) {
      const value = first![i]!
      to[i] = others.every(other => Object.is(other[i], value)) ? value : this.#mean[i]!
    }
  }

  slots(): IterableIterator<SlotEntry> {
    return this.#slots.entries()
  }

  #prepare(state: OptimizerState): ElementUpdate {
    state.iterations += 1
    return updateRule(state.spec.name).prepare(state.spec.options, state.iterations)
  }
}
