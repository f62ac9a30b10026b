import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as Tfjs from '@tensorflow/tfjs'
import { GRAPH_TAG, writeGraph, type GraphFile } from './graph-file.js'
import { uniform, type SeededNodes } from './host-values.js'
import type { NativeBackend, NativeBinding } from './native-binding.js'
import { StepRefused } from './refusal.js'
import type { InputOrigin } from './step-recorder.js'
import type { HostNode, StepTrace } from './step-trace.js'

/** What a run of the graph is given. */
export interface GraphInputs {
  readonly variables: readonly Tfjs.Tensor[]
  readonly batch: readonly Tfjs.Tensor[]
  /** Numbers that the step would have drawn from `Math.random`. */
  readonly draws: readonly number[]
}

/** Where a run takes an input from: its own inputs, a seed that it drew, or what is always the same. */
type Feed = InputOrigin | { readonly shape: readonly number[]; readonly draw: number } | Tfjs.Tensor

/** A traced step as a graph within TensorFlow. */
export class LoadedGraph {
  readonly #tf: typeof Tfjs
  readonly #backend: NativeBackend
  readonly #names: Pick<GraphFile, 'inputNames' | 'outputNames'>
  readonly #model: number
  readonly #feeds: readonly Feed[]
  /** Outputs and updates. */
  readonly #results: number

  /** @throws StepRefused when TensorFlow does not take it */
  constructor(tf: typeof Tfjs, backend: NativeBackend, trace: StepTrace, seeded: SeededNodes) {
    this.#tf = tf
    this.#backend = backend
    const { bytes, inputs, ...names } = writeGraph(backend.binding, trace)
    this.#names = names
    this.#results = trace.outputs.length + trace.updates.length
    this.#model = load(backend.binding, bytes)
    this.#feeds = inputs.map(node => {
      if (node.node === 'input') return { from: node.from, index: node.index }
      const draw = seeded.get(node)
      return draw === undefined ? constant(tf, node) : { shape: node.shape, draw }
    })
  }

  /**
   * @returns the step's outputs, then its updates: tensors of the caller's
   * @throws what TensorFlow says when an op fails, such as an index out of bounds
   */
  run(inputs: GraphInputs): Tfjs.Tensor[] {
    const { inputNames, outputNames } = this.#names
    const drawn: Tfjs.Tensor[] = []
    const tensors = this.#feeds.map(feed => {
      if ('from' in feed) return inputs[feed.from === 'batch' ? 'batch' : 'variables'][feed.index]!
      if (!('draw' in feed)) return feed
      const numbers = uniform(this.#tf, feed.shape, inputs.draws[feed.draw]!)
      drawn.push(numbers)
      return numbers
    })
    try {
      const ids = this.#backend.getInputTensorIds(tensors)
      const { binding } = this.#backend
      const handles = binding.runSavedModel(this.#model, ids, inputNames, outputNames)
      for (const { id } of handles.splice(this.#results)) binding.deleteTensor(id)
      return handles.map(handle => this.#backend.createOutputTensor(handle))
    } finally {
      this.#tf.dispose(drawn)
    }
  }

  dispose(): void {
    this.#backend.binding.deleteSavedModel(this.#model)
    for (const feed of this.#feeds) if (!('from' in feed) && !('draw' in feed)) feed.dispose()
  }
}

/** For as long as the graph lives, and in memory of its own. */
function constant(tf: typeof Tfjs, { bytes, shape }: HostNode): Tfjs.Tensor {
  return tf.keep(tf.tensor(new Float32Array(bytes.slice().buffer), [...shape], 'float32'))
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
