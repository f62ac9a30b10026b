import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as Tfjs from '@tensorflow/tfjs'
import { GRAPH_TAG, writeGraph, type GraphFile } from './graph-file.js'
import { uniform, type SeededNodes } from './host-values.js'
import type { NativeBackend, NativeBinding } from './native-binding.js'
import { StepRefused } from './refusal.js'
import type { HostNode, StepTrace } from './step-trace.js'

/** What a run of the graph is given. */
export interface GraphInputs {
  readonly variables: readonly Tfjs.Tensor[]
  readonly batch: readonly Tfjs.Tensor[]
  /** Numbers that the step would have drawn from `Math.random`. */
  readonly draws: readonly number[]
}

/** A traced step as a graph within TensorFlow. */
export class LoadedGraph {
  readonly #tf: typeof Tfjs
  readonly #backend: NativeBackend
  readonly #trace: StepTrace
  readonly #seeded: SeededNodes
  readonly #names: Omit<GraphFile, 'bytes'>
  readonly #model: number
  /** What is fed and always the same. */
  readonly #constants = new Map<HostNode, Tfjs.Tensor>()

  /** @throws StepRefused when TensorFlow does not take it */
  constructor(tf: typeof Tfjs, backend: NativeBackend, trace: StepTrace, seeded: SeededNodes) {
    this.#tf = tf
    this.#backend = backend
    this.#trace = trace
    this.#seeded = seeded
    const { bytes, ...names } = writeGraph(backend.binding, trace)
    this.#names = names
    this.#model = load(backend.binding, bytes)
    for (const i of names.inputs) {
      const node = trace.nodes[i]!
      if (node.node !== 'host' || seeded.has(node)) continue
      this.#constants.set(node, tf.keep(tf.tensor(floatsOf(node.bytes), [...node.shape], 'float32')))
    }
  }

  /** @returns the step's outputs, then its updates: tensors of the caller's */
  run(inputs: GraphInputs): Tfjs.Tensor[] {
    const { binding } = this.#backend
    const { inputNames, outputNames } = this.#names
    const drawn: Tfjs.Tensor[] = []
    const tensors = this.#names.inputs.map(i => {
      const node = this.#trace.nodes[i]!
      if (node.node === 'input') return inputs[node.from === 'batch' ? 'batch' : 'variables'][node.index]!
      if (node.node === 'op') throw new TypeError(`node ${i} of the graph is no input`)
      const constant = this.#constants.get(node)
      if (constant !== undefined) return constant
      const mask = uniform(this.#tf, node.shape, inputs.draws[this.#seeded.get(node)!]!)
      drawn.push(mask)
      return mask
    })
    const ids = this.#backend.getInputTensorIds(tensors)
    const handles = binding.runSavedModel(this.#model, ids, inputNames, outputNames)
    for (const mask of drawn) mask.dispose()
    return handles.map(handle => this.#backend.createOutputTensor(handle))
  }

  dispose(): void {
    this.#backend.binding.deleteSavedModel(this.#model)
    this.#tf.dispose([...this.#constants.values()])
  }
}

function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer)
}

/** Loading leaves nothing that the file is needed for. */
function load(binding: NativeBinding, bytes: Uint8Array): number {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-step-'))
  try {
    writeFileSync(join(folder, 'saved_model.pb'), bytes)
    return binding.loadSavedModel(folder, GRAPH_TAG)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new StepRefused('graph-refused', `TensorFlow does not take the step's graph: ${why}`, error)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
