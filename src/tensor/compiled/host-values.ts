import type * as Tfjs from '@tensorflow/tfjs'
import { bytesOf } from './element.js'
import { StepRefused } from './refusal.js'
import type { HostNode, StepTrace } from './step-trace.js'

/** By host nodes whose values are drawn anew at each run: which draw of the step is their seed. */
export type SeededNodes = ReadonlyMap<HostNode, number>

/**
 * Compares what JavaScript brought into two traces of the same structure. Equal values are constants. Values that
 * differ are taken only if they are what `tf.randomUniform` makes of one number of `Math.random`, bit by bit, the same
 * one in both traces: so tfjs draws the masks of dropout, and so each run can.
 *
 * A number that was drawn for anything else may have been a decision of the step's own, so that is refused as well.
 *
 * @returns by nodes of the first trace
 * @throws StepRefused for any other values that differ, and for draws that no values come from
 */
export function seededNodes(tf: typeof Tfjs, first: StepTrace, second: StepTrace): SeededNodes {
  const seeded = new Map<HostNode, number>()
  for (const [i, node] of first.nodes.entries()) {
    const other = second.nodes[i]
    if (node.node !== 'host' || other?.node !== 'host') continue
    if (Buffer.compare(node.bytes, other.bytes) === 0) continue
    const draw = drawBehind(tf, node, first.draws)
    if (draw === undefined || !isUniform(tf, other, second.draws[draw])) {
      const kind = `of shape [${node.shape.join(', ')}]`
      throw new StepRefused(
        'host-data',
        `a tensor ${kind} that the step makes in JavaScript has other values each time, and they are no uniform ` +
          'random numbers from 0 to 1',
      )
    }
    seeded.set(node, draw)
  }
  const unexplained = first.draws.length - new Set(seeded.values()).size
  if (unexplained === 0) return seeded
  throw new StepRefused(
    'host-data',
    `the step draws ${unexplained} random numbers that are no seed of uniform random numbers from 0 to 1`,
  )
}

/** Uniform random numbers, as tfjs draws them for this seed. */
export function uniform(tf: typeof Tfjs, shape: readonly number[], seed: number): Tfjs.Tensor {
  return tf.randomUniform([...shape], 0, 1, 'float32', seed)
}

/** The latest draw before the node that its values come from. */
function drawBehind(tf: typeof Tfjs, node: HostNode, draws: readonly number[]): number | undefined {
  for (let i = node.drawn - 1; i >= 0; i--) if (isUniform(tf, node, draws[i])) return i
  return undefined
}

function isUniform(tf: typeof Tfjs, { shape, bytes }: HostNode, seed: number | undefined): boolean {
  if (seed === undefined || bytes.length < Float32Array.BYTES_PER_ELEMENT) return false
  const begins = (count: readonly number[]): boolean => {
    const tensor = uniform(tf, count, seed)
    const drawn = bytesOf(tensor.dataSync())
    tensor.dispose()
    return Buffer.compare(drawn, bytes.subarray(0, drawn.length)) === 0
  }
  // One number tells nearly always; all of them are drawn only to be sure.
  return begins([1]) && begins(shape)
}
