import { TroupeError } from '../errors.js'
import { imbalance, planLayout, shardElements, type Slice } from './layout.js'
import { assertSamePart, elementCount, type ModelPart, type VariableSpec } from './model-spec.js'
import type { SnapshotTensor } from './snapshot.js'

/** A variable as one part sees it. */
export interface PartVariable {
  /** Index in the job's order. */
  readonly index: number
  /** In this part: another may train it, or keep it as state. */
  readonly trainable: boolean
  /** By offset. */
  readonly slices: readonly Slice[]
}

/** A part that has been placed on the shards. */
export interface PlacedPart {
  readonly number: number
  readonly spec: ModelPart
  /** In the order of the spec's variables. */
  readonly variables: readonly PartVariable[]
  /** Positions, among the spec's variables, of those that no part before had. */
  readonly introduces: readonly number[]
}

/**
 * The model of a job, as it grows part by part: its variables in the order of their first mention, and which slice
 * of which lies on which shard. Everyone who adds the same parts in the same order has the same model.
 */
export class JobModel {
  readonly shards: number
  readonly #variables: VariableSpec[] = []
  readonly #slices: Slice[][] = []
  readonly #indices = new Map<string, number>()
  readonly #parts: PlacedPart[] = []

  constructor(shards: number, parts: readonly ModelPart[] = []) {
    this.shards = shards
    for (const part of parts) this.add(part)
  }

  /** As each was mentioned first. */
  get variables(): readonly VariableSpec[] {
    return this.#variables
  }

  get parts(): readonly PlacedPart[] {
    return this.#parts
  }

  /** By variable, then offset: every element of every variable is in exactly one. */
  get slices(): Slice[] {
    return this.#slices.flat()
  }

  /** Largest shard over the mean, in bytes of the model; 1 is perfect balance. */
  get imbalance(): number {
    return imbalance(shardElements(this.slices, this.shards))
  }

  /**
   * Takes the next part; variables that are new in it are placed beside those that lie there already.
   *
   * @throws ERR_TRAINING_LOOP for a variable that comes twice or with another shape than before; ERR_LAYOUT
   */
  add(spec: ModelPart): PlacedPart {
    const introduces: number[] = []
    const names = new Set<string>()
    for (const [position, variable] of spec.variables.entries()) {
      if (names.has(variable.name)) {
        throw new TroupeError('ERR_TRAINING_LOOP', `two variables of a step are called ${variable.name}`)
      }
      names.add(variable.name)
      const index = this.#indices.get(variable.name)
      if (index === undefined) introduces.push(position)
      else assertShape(this.#variables[index]!, variable)
    }
    const added = introduces.map(position => spec.variables[position]!)
    const first = this.#variables.length
    const slices = planLayout(added, this.shards, shardElements(this.slices, this.shards))
    for (const [i, variable] of added.entries()) {
      this.#indices.set(variable.name, first + i)
      this.#variables.push(variable)
      this.#slices.push(
        slices
          .filter(slice => slice.variable === i)
          .map(({ offset, length, shard }) => ({ variable: first + i, offset, length, shard })),
      )
    }
    const variables = spec.variables.map(({ name, trainable }) => {
      const index = this.#indices.get(name)!
      return { index, trainable, slices: this.#slices[index]! }
    })
    const part = { number: this.#parts.length, spec, variables, introduces }
    this.#parts.push(part)
    return part
  }

  /**
   * The part of this number, which must be the same or the next.
   *
   * @throws ERR_RANKS_DIVERGED
   */
  agree(number: number, spec: ModelPart, rank: number): PlacedPart {
    const known = this.#parts[number]
    if (known !== undefined) {
      assertSamePart(known.spec, spec, rank)
      return known
    }
    if (number === this.#parts.length) return this.add(spec)
    throw new TroupeError(
      'ERR_INTERNAL',
      `rank ${rank} named part ${number} of the model; the job has ${this.#parts.length}`,
    )
  }
}

/** A shard's slices of the variables that a part brings, by position among them, then offset. */
export function introducedSlices(part: PlacedPart, shard: number): Slice[] {
  return part.introduces.flatMap(position =>
    part.variables[position]!.slices.filter(slice => slice.shard === shard),
  )
}

/**
 * A shard's share of the values of the variables that a part brings: views, in the order of
 * {@link introducedSlices}.
 *
 * @param values one array for each of these variables
 */
export function introducedValues(
  part: PlacedPart,
  shard: number,
  values: readonly Float32Array[],
): Float32Array[] {
  return part.introduces.flatMap((position, i) =>
    part.variables[position]!.slices.filter(slice => slice.shard === shard).map(({ offset, length }) =>
      values[i]!.subarray(offset, offset + length),
    ),
  )
}

/**
 * Puts variables together from what the shards hold of them, in the order of `variables`.
 *
 * @param tensors of all shards; those of other kinds are passed over
 * @param kind `weights`, or a slot
 */
export function assemble(
  variables: readonly VariableSpec[],
  tensors: readonly SnapshotTensor[],
  kind: string,
): Float32Array[] {
  const index = new Map(variables.map(({ name }, i) => [name, i]))
  const values = variables.map(variable => new Float32Array(elementCount(variable.shape)))
  for (const tensor of tensors) {
    const at = index.get(tensor.variable)
    if (at !== undefined && tensor.kind === kind) values[at]!.set(tensor.values, tensor.offset)
  }
  return values
}

function assertShape(known: VariableSpec, got: VariableSpec): void {
  if (known.shape.length === got.shape.length && known.shape.every((size, i) => size === got.shape[i])) return
  throw new TroupeError(
    'ERR_TRAINING_LOOP',
    `variable ${known.name} has the shape [${got.shape.join(', ')}] in this step, ` +
      `[${known.shape.join(', ')}] in those before`,
  )
}
