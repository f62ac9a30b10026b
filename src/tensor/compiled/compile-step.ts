import type * as Tfjs from '@tensorflow/tfjs'
import { drawMathRandom } from '../../determinism/index.js'
import { TroupeError } from '../../errors.js'
import { seededNodes } from './host-values.js'
import { LoadedGraph } from './loaded-graph.js'
import { nativeBackend, type NativeBackend } from './native-binding.js'
import { probe, valuesOf, type Probe, type ProbeInputs, type Step } from './probe.js'
import { StepRefused, type Refusal } from './refusal.js'
import { checkSameStructure } from './same-structure.js'

export interface CompileOptions {
  /** The variables that the step trains and keeps statistics in. Others that it reads are found. */
  readonly weights: readonly Tfjs.Variable[]
  /** A batch as the step will be given: the graph is for its shapes and types. */
  readonly batch: readonly Tfjs.Tensor[]
  /** All that the step brings from JavaScript; the graph holds a copy. @default 256 MiB */
  readonly maxConstantBytes?: number
}

export const DEFAULT_MAX_CONSTANT_BYTES = 256 * 1024 * 1024

/** A step as one graph of TensorFlow. */
export interface CompiledStep {
  /** How many ops of the eager step are in it. */
  readonly ops: number
  /**
   * Makes the step: variables that it writes are assigned, as many numbers are drawn from `Math.random` as it draws.
   *
   * @param batch of the shapes and types that it was compiled for
   * @returns what the step returns, in tensors of the caller's
   * @throws ERR_TENSOR_SHAPE for any other batch
   */
  run(batch: readonly Tfjs.Tensor[]): Tfjs.Tensor[]
  /** Frees the graph. */
  dispose(): void
}

/** Shapes and types of a batch: what a graph is for. */
export function batchText(batch: readonly Tfjs.Tensor[]): string {
  return batch.map(({ dtype, shape }) => `${dtype}[${shape.join(', ')}]`).join(', ')
}

/** Seeds of what the two probes draw. */
const PROBE_SEEDS = [1, 2] as const

/** What the second probe multiplies the variables with: exact in binary, and no sign or zero changes. */
const OTHER_SCALE = 31 / 32

/**
 * Turns an eager training step into one graph, or says why it cannot be. The step is computed twice to look at it, on
 * other data, weights and random numbers; nothing of that stays. The graph is given out only if both times it gave what
 * the eager step gave, bit by bit.
 *
 * Not seen is what a step takes from JavaScript that was the same in both probes and changes later: a number in a
 * variable of the program that a callback lowers. Such a step must not be compiled, or be compiled anew.
 *
 * @param step must be synchronous and leave nothing behind beside its outputs and variables
 */
export function compileStep(
  tf: typeof Tfjs,
  step: Step,
  { weights, batch, maxConstantBytes = DEFAULT_MAX_CONSTANT_BYTES }: CompileOptions,
): CompiledStep | Refusal {
  const backend = nativeBackend(tf)
  if (backend === undefined) {
    return {
      kind: 'backend',
      reason: `steps are compiled on native TensorFlow; this thread has ${tf.getBackend()}`,
    }
  }
  const variables = [...new Set([...weights, ...Object.values(tf.engine().registeredVariables)])]
  const made: ProbeInputs[] = []
  try {
    const probes = PROBE_SEEDS.map((seed, i) => {
      const inputs = { ...probeInputs(tf, variables, batch, i > 0), seed, maxConstantBytes }
      made.push(inputs)
      return probe(tf, backend, step, variables, inputs)
    })
    return new StepGraph(variables, verifiedGraph(tf, backend, probes, made), probes[0]!, batchText(batch))
  } catch (error) {
    if (error instanceof StepRefused) return { kind: error.kind, reason: error.reason }
    throw error
  } finally {
    for (const inputs of made) tf.dispose([inputs.variables, inputs.batch] as unknown as Tfjs.TensorContainer)
  }
}

class StepGraph implements CompiledStep {
  readonly ops: number
  readonly #variables: readonly Tfjs.Variable[]
  readonly #graph: LoadedGraph
  readonly #outputs: number
  readonly #updates: readonly number[]
  readonly #draws: number
  /** What it was compiled for. */
  readonly #batch: string

  constructor(variables: readonly Tfjs.Variable[], graph: LoadedGraph, { trace }: Probe, batch: string) {
    this.#batch = batch
    this.ops = trace.nodes.filter(({ node }) => node === 'op').length
    this.#variables = variables
    this.#graph = graph
    this.#outputs = trace.outputs.length
    this.#updates = trace.updates.map(({ variable }) => variable)
    this.#draws = trace.draws.length
  }

  run(batch: readonly Tfjs.Tensor[]): Tfjs.Tensor[] {
    const given = batchText(batch)
    if (given !== this.#batch) {
      throw new TroupeError(
        'ERR_TENSOR_SHAPE',
        `a compiled step got a batch of ${given}; it is for ${this.#batch}`,
      )
    }
    const draws = Array.from({ length: this.#draws }, drawMathRandom)
    const ends = this.#graph.run({ variables: this.#variables, batch, draws })
    const values = ends.splice(this.#outputs)
    for (const [i, value] of values.entries()) {
      this.#variables[this.#updates[i]!]!.assign(value)
      value.dispose()
    }
    return ends
  }

  dispose(): void {
    this.#graph.dispose()
  }
}

/** @throws StepRefused */
function verifiedGraph(
  tf: typeof Tfjs,
  backend: NativeBackend,
  probes: readonly Probe[],
  inputs: readonly ProbeInputs[],
): LoadedGraph {
  const [first, second] = probes as [Probe, Probe]
  checkSameStructure(first.trace, second.trace)
  const graph = new LoadedGraph(tf, backend, first.trace, seededNodes(tf, first.trace, second.trace))
  try {
    for (const [i, { trace, values }] of probes.entries()) {
      const got = runProbe(graph, { ...inputs[i]!, draws: trace.draws })
      const bits = got.map(valuesOf)
      tf.dispose(got)
      checkSameBits(values, bits)
    }
    return graph
  } catch (error) {
    graph.dispose()
    throw error
  }
}

function runProbe(graph: LoadedGraph, inputs: Parameters<LoadedGraph['run']>[0]): Tfjs.Tensor[] {
  try {
    return graph.run(inputs)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new StepRefused('graph-refused', `TensorFlow does not run the step's graph: ${why}`, error)
  }
}

/** @throws StepRefused */
function checkSameBits(eager: readonly ArrayLike<number>[], graph: readonly ArrayLike<number>[]): void {
  for (const [i, values] of eager.entries()) {
    const others = graph[i]!
    const differing = Array.from(values).flatMap((value, k) => (Object.is(value, others[k]) ? [] : [k]))
    const [first] = differing
    if (first === undefined) continue
    const text = (value: number | undefined): string => (Object.is(value, -0) ? '-0' : String(value))
    throw new StepRefused(
      'bits-differ',
      `the graph does not give the eager step's bits: ${differing.length} of ${values.length} elements of result ${i} ` +
        `differ, the first is ${text(values[first])} and in the graph ${text(others[first])}`,
    )
  }
}

/** Tensors of the probe's own, so that each has a handle of its own however the program shares its. */
function probeInputs(
  tf: typeof Tfjs,
  variables: readonly Tfjs.Variable[],
  batch: readonly Tfjs.Tensor[],
  other: boolean,
): Pick<ProbeInputs, 'variables' | 'batch'> {
  const copy = (tensor: Tfjs.Tensor, values: Tfjs.TypedArray): Tfjs.Tensor =>
    tf.keep(tf.tensor(values, tensor.shape, tensor.dtype))
  return {
    variables: variables.map(variable => copy(variable, other ? scaled(variable) : valuesOf(variable))),
    batch: batch.map(tensor => copy(tensor, other ? turned(tensor) : valuesOf(tensor))),
  }
}

function scaled(tensor: Tfjs.Tensor): Tfjs.TypedArray {
  const values = valuesOf(tensor)
  return tensor.dtype === 'float32' ? values.map(value => value * OTHER_SCALE) : values
}

/** The rows in another order: values that the step can be given, whatever they mean. */
function turned(tensor: Tfjs.Tensor): Tfjs.TypedArray {
  const [rows = 1] = tensor.shape
  if (rows < 2) return scaled(tensor)
  const values = valuesOf(tensor)
  const row = values.length / rows
  const result = values.slice()
  result.set(values.subarray(row))
  result.set(values.subarray(0, row), values.length - row)
  return result
}
