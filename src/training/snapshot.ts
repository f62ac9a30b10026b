import { TroupeError } from '../errors.js'

/** Of a tensor that holds a variable's values; others are `<optimizer id>/<slot>`. */
export const WEIGHTS_KIND = 'weights'

/** Consecutive elements of something that parameter servers keep: names them, whoever holds them. */
export interface TensorInterval {
  readonly variable: string
  /** {@link WEIGHTS_KIND}, or what an optimizer keeps for the variable: `<optimizer id>/<slot>`. */
  readonly kind: string
  /** Shape of the whole variable. */
  readonly shape: readonly number[]
  /** First element within the variable, row-major. */
  readonly offset: number
  /** In elements. */
  readonly length: number
}

/** An interval with its values; they may lie in shared memory. */
export interface SnapshotTensor extends Omit<TensorInterval, 'length'> {
  readonly values: Float32Array
}

/** What an optimizer's slot is called among a variable's tensors. */
export function slotKind(optimizer: string, slot: string): string {
  return `${optimizer}/${slot}`
}

/**
 * Looks up intervals in pieces that were cut otherwise: by another number of shards, say. Pieces may overlap, and may
 * hold more than is asked for.
 */
export class SnapshotReader {
  readonly #pieces = new Map<string, SnapshotTensor[]>()

  constructor(pieces: readonly SnapshotTensor[]) {
    for (const piece of pieces) {
      const key = keyOf(piece)
      const list = this.#pieces.get(key)
      if (list === undefined) this.#pieces.set(key, [piece])
      else list.push(piece)
    }
    for (const list of this.#pieces.values()) list.sort((a, b) => a.offset - b.offset)
  }

  /**
   * Copies an interval.
   *
   * @param into as long as the interval
   * @throws ERR_STATE_LOST when the pieces do not hold all of it, or are of another shape
   */
  read(wanted: TensorInterval, into: Float32Array): void {
    const end = wanted.offset + wanted.length
    let at = wanted.offset
    for (const { shape, offset, values } of this.#pieces.get(keyOf(wanted)) ?? []) {
      if (at === end) return
      if (shape.length !== wanted.shape.length || shape.some((size, i) => size !== wanted.shape[i])) {
        throw lost(wanted, `has the shape [${shape.join(', ')}], not [${wanted.shape.join(', ')}]`)
      }
      const to = Math.min(end, offset + values.length)
      if (offset > at || to <= at) continue
      into.set(values.subarray(at - offset, to - offset), at - wanted.offset)
      at = to
    }
    if (at < end) throw lost(wanted, `lacks the elements from ${at} to ${end - 1}`)
  }
}

function keyOf({ variable, kind }: Pick<TensorInterval, 'variable' | 'kind'>): string {
  return JSON.stringify([kind, variable])
}

function lost({ variable, kind }: TensorInterval, what: string): TroupeError {
  return new TroupeError('ERR_STATE_LOST', `${kind} of variable ${variable} in the snapshot ${what}`, {
    data: { variable, kind },
  })
}
