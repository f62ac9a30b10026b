import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as Tfjs from '@tensorflow/tfjs'
import { GRAPH_TAG, writeGraph, type GraphFile } from './graph-file.js'
import { uniform, type SeededNodes } from './host-values.js'
import type { NativeBackend, NativeBinding } from './native-binding.js'
import { StepRefused } from './refusal.js'
import type { StepTrace } from './step-trace.js'

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
  readonly #file: GraphFile
  readonly #model: number

  /** @throws StepRefused when TensorFlow does not take it */
  constructor(tf: typeof Tfjs, backend: NativeBackend, trace: StepTrace, seeded: SeededNodes) {
    this.#tf = tf
    this.#backend = backend
    this.#trace = trace
    this.#seeded = seeded
    const { bytes, ...names } = writeGraph(backend.binding, trace, node => seeded.has(node))
    this.#file = { ...names, bytes: Buffer.alloc(0) }
    this.#model = load(backend.binding, bytes)
  }

  /** @returns the step's outputs, then its updates: tensors of the caller's */
  run(inputs: GraphInputs): Tfjs.Tensor[] {
    const { binding } = this.#backend
    const { inputNames, outputNames } = this.#file
    const drawn: Tfjs.Tensor[] = []
    const tensors = this.#file.inputs.map(i => {
      const node = this.#trace.nodes[i]!
      if (node.node === 'input') return inputs[node.from === 'batch' ? 'batch' : 'variables'][node.index]!
      if (node.node === 'op') throw new TypeError(`node ${i} of the graph is no input`)
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
  }
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
