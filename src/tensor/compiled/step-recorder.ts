import { bytesOf, sizeOfElement } from './element.js'
import type { NativeBackend, NativeBinding, OpAttribute, TensorHandle } from './native-binding.js'
import { StepRefused } from './refusal.js'
import type { Edge, HostNode, InputNode, StepTrace, TraceNode } from './step-trace.js'

/** Of the ops that kernels of tfjs-node are made of: a graph has a state of its own for them. */
const STATEFUL_OPS: ReadonlySet<string> = new Set(['Multinomial', 'WriteScalarSummary', 'WriteSummary'])

/** Where an input comes from. */
export type InputOrigin = Pick<InputNode, 'from' | 'index'>

/**
 * Takes note of what a step does to TensorFlow. While {@link during} runs, every call of the backend goes through
 * the recorder and on to the real binding: ops become nodes, handles edges, values from JavaScript host nodes.
 */
export class StepRecorder {
  readonly #backend: NativeBackend
  readonly #binding: NativeBinding
  readonly #nodes: TraceNode[] = []
  /** By the handle's number, which the binding never gives twice. */
  readonly #edges = new Map<number, Edge>()
  /** Brought from JavaScript. A node comes where it is used first: when tfjs brings it depends on what was before. */
  readonly #made = new Map<number, HostNode>()
  readonly #inputs: ReadonlyMap<number, InputOrigin>
  readonly #draws: number[] = []
  #constantBytes = 0
  #checking = false
  /** The first thing that no graph can do. The step goes on, so that tfjs is left in order. */
  #refused: StepRefused | undefined

  readonly #maxConstantBytes: number

  /** @param inputs handles of what changes from run to run */
  constructor(backend: NativeBackend, inputs: ReadonlyMap<number, InputOrigin>, maxConstantBytes: number) {
    this.#maxConstantBytes = maxConstantBytes
    this.#backend = backend
    this.#binding = backend.binding
    this.#inputs = inputs
  }

  /** A number was drawn from `Math.random`. */
  readonly drew = (value: number): void => {
    this.#draws.push(value)
  }

  /** Runs `work` with the recorder in the binding's place. */
  during<T>(work: () => T): T {
    const real = this.#binding
    const recorder = Object.create(real, {
      createTensor: { value: this.#createTensor },
      executeOp: { value: this.#executeOp },
      tensorDataSync: { value: this.#tensorDataSync },
    }) as NativeBinding
    this.#backend.binding = recorder
    try {
      return work()
    } finally {
      this.#backend.binding = real
    }
  }

  /** Runs a kernel that reads only to check: nothing of what it does depends on it. */
  readonly whileChecking = <T>(kernel: () => T): T => {
    this.#checking = true
    try {
      return kernel()
    } finally {
      this.#checking = false
    }
  }

  /** The edge of a tensor that an op takes or the step ends with. */
  edge(id: number): Edge {
    return this.#edges.get(id) ?? this.#source(id)
  }

  /** @throws StepRefused for what the step did and no graph can do */
  trace(outputs: StepTrace['outputs'], updates: StepTrace['updates']): StepTrace {
    if (this.#refused !== undefined) throw this.#refused
    return { nodes: this.#nodes, outputs, updates, draws: this.#draws }
  }

  readonly #createTensor = (shape: number[], dtype: number, values: unknown): number => {
    const id = this.#binding.createTensor(shape, dtype, values)
    if (ArrayBuffer.isView(values)) this.#made.set(id, this.#host(shape, dtype, bytesOf(values)))
    else this.#refuse(new StepRefused('unknown-type', 'the step makes a tensor of text'))
    return id
  }

  readonly #executeOp = (
    name: string,
    attributes: OpAttribute[],
    inputs: number[],
    count: number,
  ): TensorHandle[] => {
    if (STATEFUL_OPS.has(name)) {
      this.#refuse(new StepRefused('stateful-op', `op ${name} goes on from where it was in the step before`))
    }
    const edges = inputs.map(id => this.edge(id))
    const outputs = this.#binding.executeOp(name, attributes, inputs, count)
    const node = this.#nodes.length
    this.#nodes.push({
      node: 'op',
      op: name,
      attributes: attributes.map(attribute => ({ ...attribute })),
      inputs: edges,
      outputs: outputs.map(({ shape, dtype }) => ({ shape, dtype })),
    })
    for (const [output, { id }] of outputs.entries()) this.#edges.set(id, { node, output })
    return outputs
  }

  readonly #tensorDataSync = (id: number): ArrayBufferView => {
    if (this.#checking) return this.#binding.tensorDataSync(id)
    const edge = this.#edges.get(id)
    const node = edge === undefined ? undefined : this.#nodes[edge.node]
    const what = node?.node === 'op' ? `what its op ${node.op} gave` : 'a tensor that it did not compute'
    this.#refuse(
      new StepRefused('step-reads', `the step reads ${what}, so what it does may depend on values`),
    )
    return this.#binding.tensorDataSync(id)
  }

  /** A tensor that no op gave: from JavaScript, an input, or one that the step's code held before. */
  #source(id: number): Edge {
    const made = this.#made.get(id)
    if (made !== undefined) return this.#set(id, made)
    const origin = this.#inputs.get(id)
    // Its type and shape are known to TensorFlow alone, which takes the type attribute from the input.
    const [same] = this.#binding.executeOp('Identity', [], [id], 1)
    const { shape, dtype } = same!
    this.#binding.deleteTensor(same!.id)
    return origin === undefined
      ? this.#set(id, this.#host(shape, dtype, this.#valuesOf(id, dtype)))
      : this.#set(id, { node: 'input', ...origin, shape, dtype })
  }

  #valuesOf(id: number, dtype: number): Uint8Array {
    return sizeOfElement(this.#binding, dtype) === undefined
      ? new Uint8Array()
      : bytesOf(this.#binding.tensorDataSync(id))
  }

  #host(shape: readonly number[], dtype: number, bytes: Uint8Array): HostNode {
    if (sizeOfElement(this.#binding, dtype) === undefined) {
      this.#refuse(new StepRefused('unknown-type', `the step uses a tensor of TensorFlow's type ${dtype}`))
    }
    this.#constantBytes += bytes.length
    if (this.#constantBytes > this.#maxConstantBytes) {
      const limit = `the limit is ${this.#maxConstantBytes}`
      this.#refuse(
        new StepRefused('too-large', `the step brings ${this.#constantBytes} bytes of constants; ${limit}`),
      )
      bytes = new Uint8Array()
    }
    return { node: 'host', shape: [...shape], dtype, bytes, drawn: this.#draws.length }
  }

  #set(id: number, node: TraceNode): Edge {
    const edge = { node: this.#nodes.length, output: 0 }
    this.#nodes.push(node)
    this.#edges.set(id, edge)
    return edge
  }

  #refuse(refusal: StepRefused): void {
    this.#refused ??= refusal
  }
}
