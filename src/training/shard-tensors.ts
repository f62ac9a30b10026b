import { introducedSlices, type JobModel } from './job-model.js'
import type { Slice } from './layout.js'
import { slotsOf } from './optimizer.js'
import { slotKind, WEIGHTS_KIND, type TensorInterval } from './snapshot.js'

/** Something that a shard keeps for a slice. */
export interface ShardTensor {
  readonly interval: TensorInterval
  readonly slice: Slice
  /** Of which optimizer, and the how manieth of its slots; undefined for the weights. */
  readonly slot?: { readonly optimizer: string; readonly index: number }
}

/** All that one shard keeps of a model: its slices' weights, and what optimizers keep for those that they train. */
export function shardTensors(model: JobModel, shard: number): ShardTensor[] {
  const tensors: ShardTensor[] = []
  const add = (slice: Slice, kind: string, slot?: ShardTensor['slot']): void => {
    const { name, shape } = model.variables[slice.variable]!
    const interval = { variable: name, kind, shape, offset: slice.offset, length: slice.length }
    tensors.push({ interval, slice, ...(slot === undefined ? {} : { slot }) })
  }
  const trained = new Set<string>()
  for (const part of model.parts) {
    for (const slice of introducedSlices(part, shard)) add(slice, WEIGHTS_KIND)
    const { optimizer } = part.spec
    const slots = slotsOf(optimizer)
    for (const { index: variable, trainable, slices } of part.variables) {
      const key = `${optimizer.id}/${variable}`
      if (!trainable || trained.has(key)) continue
      trained.add(key)
      for (const slice of slices) {
        if (slice.shard !== shard) continue
        for (const [index, { name }] of slots.entries()) {
          add(slice, slotKind(optimizer.id, name), { optimizer: optimizer.id, index })
        }
      }
    }
  }
  return tensors
}
