// A thread that stands for a worker of which only the exchange is left: its gradients lie ready in arrays that are
// used again, and new weights are copied out into arrays of its own.

import { parentPort, workerData } from 'node:worker_threads'
import { RankExchange, type Attachment, type ModelPart } from 'troupe/training'

export interface RankData {
  readonly spec: ModelPart
  readonly region: SharedArrayBuffer
  readonly servers: readonly Attachment[]
}

/** Steps to make, from the first to the last but one. */
export interface MakeSteps {
  readonly from: number
  readonly to: number
}

export interface StepsMade {
  readonly first: number
  /** Milliseconds of each step. */
  readonly stepMs: readonly number[]
  readonly totalMs: number
  /** One weight of each variable, so that whoever asks sees that something came. */
  readonly seen: readonly number[]
}

const { spec, region, servers } = workerData as RankData
const exchange = new RankExchange({ region, shards: servers.length, staleness: 0 })
exchange.addPart(spec, servers)
const slices = exchange.slices(0)
const arrays = spec.variables.map(({ shape }) => {
  const elements = shape.reduce((a, b) => a * b, 1)
  return {
    gradient: Float32Array.from({ length: elements }, (_, i) => Math.sin(i) / 100),
    weights: new Float32Array(elements),
  }
})

/** Writes a shard's gradients. */
function write(shard: number): void {
  for (const [v, { gradient }] of arrays.entries()) {
    for (const slice of slices[v]!) {
      const { offset, length, target } = slice
      if (slice.shard === shard) target.set(gradient.subarray(offset, offset + length))
    }
  }
}

/** Copies a shard's weights out. */
function take(shard: number): void {
  for (const [v, { weights }] of arrays.entries()) {
    for (const slice of slices[v]!) if (slice.shard === shard) weights.set(slice.pulled, slice.offset)
  }
}

function makeSteps({ from, to }: MakeSteps): StepsMade {
  const stepMs: number[] = []
  const began = performance.now()
  let last = began
  for (let step = from; step < to; step++) {
    exchange.push({ step, part: 0, rows: 32 }, [0], { write })
    exchange.receive(0, step + 1, take)
    const now = performance.now()
    stepMs.push(now - last)
    last = now
  }
  const seen = arrays.map(({ weights }) => weights[weights.length - 1]!)
  return { first: from, stepMs, totalMs: last - began, seen }
}

parentPort!.on('message', (steps: MakeSteps) => {
  parentPort!.postMessage(makeSteps(steps))
})
