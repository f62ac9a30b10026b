import { StepRefused } from './refusal.js'
import type { StepTrace, TraceNode } from './step-trace.js'

/**
 * Two traces of one step must be of the same ops, attributes, edges and shapes: then what the step does depends on no
 * value.
 *
 * @throws StepRefused with the first difference
 */
export function checkSameStructure(first: StepTrace, second: StepTrace): void {
  for (const [i, node] of first.nodes.entries()) {
    const other = second.nodes[i]
    if (other !== undefined && structureOf(node) === structureOf(other)) continue
    const got = other === undefined ? 'nothing' : nodeText(other)
    throw different(`step ${i + 1} of it was ${nodeText(node)} and then ${got}`)
  }
  if (second.nodes.length > first.nodes.length) {
    throw different(`${nodeText(second.nodes[first.nodes.length]!)} came at its end`)
  }
  if (first.draws.length !== second.draws.length) {
    throw different(`it drew ${first.draws.length} and then ${second.draws.length} random numbers`)
  }
  const ends = ({ outputs, updates }: StepTrace): string => JSON.stringify([outputs, updates])
  if (ends(first) !== ends(second)) throw different('it returned or assigned other tensors')
}

function different(what: string): StepRefused {
  return new StepRefused('structure', `the step does not do the same each time: ${what}`)
}

/** Everything but values. */
function structureOf(node: TraceNode): string {
  return JSON.stringify(node.node === 'host' ? { ...node, bytes: undefined, drawn: undefined } : node)
}

function nodeText(node: TraceNode): string {
  if (node.node === 'op') return `op ${node.op}`
  const shape = `of shape [${node.shape.join(', ')}]`
  return node.node === 'host' ? `a tensor ${shape} from JavaScript` : `a ${node.from} ${shape}`
}
