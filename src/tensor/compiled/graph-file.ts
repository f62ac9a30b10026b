import { sizeOfElement } from './element.js'
import type { NativeBinding, OpAttribute } from './native-binding.js'
import { bytesField, entryField, float, floatField, integerField, varint } from './protobuf.js'
import { StepRefused } from './refusal.js'
import type { Edge, HostNode, InputNode, OpNode, StepTrace, TensorKind } from './step-trace.js'

/** The version of graphs that is written: any TensorFlow since 2.0 reads it. */
const GRAPH_PRODUCER = 1286

/** TensorFlow's number of the type; it is part of the file format. */
const DT_INT32 = 3

/** The one tag that the graph is saved under. */
export const GRAPH_TAG = 'serve'

/** Attributes that tfjs leaves to be taken from an input, which only eager ops can: the name, and which input. */
const INFERRED_TYPES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ExpandDims: { T: 0, Tdim: 1 },
}

/**
 * Ops that TensorFlow's optimizer merges with what follows (x / sqrt(y), x * sigmoid(x)), to other bits. It leaves alone
 * what is fetched.
 */
const GUARDED_OPS: ReadonlySet<string> = new Set(['Sqrt', 'Sigmoid'])

/** A trace as the content of `saved_model.pb`, and the names that a run is asked by. */
export interface GraphFile {
  readonly bytes: Buffer
  /** What is fed, in the order of {@link inputNames}. */
  readonly inputs: readonly (InputNode | HostNode)[]
  /** Joined by commas, as the binding takes them. */
  readonly inputNames: string
  /** The step's outputs, then its updates, then what is fetched only to keep it as it is. */
  readonly outputNames: string
}

/**
 * Writes a traced step as a SavedModel. Floating point numbers that came from JavaScript are fed like the batch, not
 * written as constants: TensorFlow's optimizer would move arithmetic onto constants, which rounds otherwise. Shapes,
 * axes and the like are constants, which it needs to know them.
 *
 * @throws StepRefused for an attribute of a type that it does not know
 */
export function writeGraph(binding: NativeBinding, trace: StepTrace): GraphFile {
  const fed = new Map<number, InputNode | HostNode>()
  const nodes = trace.nodes.flatMap((node, i) => {
    if (node.node === 'op') return opNodes(binding, trace, i, node)
    if (node.node === 'host' && node.dtype !== binding.TF_FLOAT)
      return constantDef(nodeName(i), node, node.bytes)
    fed.set(i, node)
    return placeholder(i, node)
  })
  const written = new Set<string>()
  const outputs = [...trace.outputs, ...trace.updates.map(({ value }) => value)].map(edge => {
    const source = fed.get(edge.node)
    if (source === undefined) return edgeName(edge)
    // What is fed cannot be fetched.
    const name = `same${edge.node}`
    if (!written.has(name)) nodes.push(nodeDef(name, 'Identity', [edgeName(edge)], { T: type(source.dtype) }))
    written.add(name)
    return `${name}:0`
  })
  const graph = [...nodes, bytesField(4, integerField(1, GRAPH_PRODUCER))]
  const metaGraph = [bytesField(1, bytesField(4, GRAPH_TAG)), bytesField(2, graph)]
  return {
    bytes: Buffer.concat([integerField(1, 1), bytesField(2, metaGraph)]),
    inputs: [...fed.values()],
    inputNames: [...fed.keys()].map(node => edgeName({ node, output: 0 })).join(','),
    outputNames: [...outputs, ...guarded(trace)].join(','),
  }
}

function guarded({ nodes }: StepTrace): string[] {
  return nodes.flatMap((node, i) =>
    node.node === 'op' && GUARDED_OPS.has(node.op) ? [edgeName({ node: i, output: 0 })] : [],
  )
}

function nodeName(node: number): string {
  return `n${node}`
}

function edgeName({ node, output }: Edge): string {
  return `${nodeName(node)}:${output}`
}

function kindOf({ nodes }: StepTrace, { node, output }: Edge): TensorKind {
  const source = nodes[node]!
  return source.node === 'op' ? source.outputs[output]! : source
}

type Attributes = Readonly<Record<string, Buffer>>

function nodeDef(name: string, op: string, inputs: readonly string[], attributes: Attributes): Buffer {
  return bytesField(1, [
    bytesField(1, name),
    bytesField(2, op),
    ...inputs.map(input => bytesField(3, input)),
    ...Object.entries(attributes).map(([key, value]) => entryField(5, key, [value])),
  ])
}

function placeholder(node: number, { dtype, shape }: TensorKind): Buffer {
  return nodeDef(nodeName(node), 'Placeholder', [], {
    dtype: type(dtype),
    shape: bytesField(7, shapeFields(shape)),
  })
}

function constantDef(name: string, { dtype, shape }: TensorKind, bytes: Uint8Array): Buffer {
  const tensor = [integerField(1, dtype), bytesField(2, shapeFields(shape)), bytesField(4, bytes)]
  return nodeDef(name, 'Const', [], { dtype: type(dtype), value: bytesField(8, tensor) })
}

/** One node, where an op within a graph is computed as it is by itself. */
function opNodes(binding: NativeBinding, trace: StepTrace, node: number, traced: OpNode): Buffer[] {
  const { op, inputs, outputs, attributes } = traced
  for (const { dtype } of outputs) {
    if (sizeOfElement(binding, dtype) !== undefined) continue
    throw new StepRefused('unknown-type', `op ${op} gives a tensor of TensorFlow's type ${dtype}`)
  }
  const written = Object.fromEntries([
    ...Object.entries(INFERRED_TYPES[op] ?? {}).map(([name, input]) => [
      name,
      type(kindOf(trace, inputs[input]!).dtype),
    ]),
    ...attributes.map(attribute => [attribute.name, attributeValue(binding, op, attribute)]),
  ]) as Attributes
  if (op === 'Softmax') return softmax(node, traced)
  if (op === 'BiasAddGrad') return biasGradient(node, kindOf(trace, inputs[0]!), traced, written)
  return [nodeDef(nodeName(node), op, inputs.map(edgeName), written)]
}

/**
 * With oneDNN, TensorFlow computes the Softmax of a graph by another kernel than that of an eager op, to other bits.
 * These are the steps of the eager one.
 */
function softmax(node: number, { inputs, outputs }: OpNode): Buffer[] {
  const { dtype, shape } = outputs[0]!
  const T = type(dtype)
  const name = (part: string): string => `${nodeName(node)}_${part}`
  const value = Buffer.from(Int32Array.of(shape.length - 1).buffer)
  const reduced = { T, Tidx: type(DT_INT32), keep_dims: integerField(5, 1) }
  return [
    constantDef(name('axis'), { dtype: DT_INT32, shape: [1] }, value),
    nodeDef(name('max'), 'Max', [edgeName(inputs[0]!), name('axis')], reduced),
    nodeDef(name('shifted'), 'Sub', [edgeName(inputs[0]!), name('max')], { T }),
    nodeDef(name('exp'), 'Exp', [name('shifted')], { T }),
    nodeDef(name('sum'), 'Sum', [name('exp'), name('axis')], reduced),
    nodeDef(name('factor'), 'Reciprocal', [name('sum')], { T }),
    nodeDef(nodeName(node), 'Mul', [name('exp'), name('factor')], { T }),
  ]
}

/**
 * With oneDNN, the gradient of a convolution's filter and that of its bias become one op, to other bits. It finds them by
 * the input that they share; the rows of a matrix are summed in the same order.
 */
function biasGradient(node: number, dy: TensorKind, { inputs }: OpNode, attributes: Attributes): Buffer[] {
  const channels = dy.shape.at(-1)!
  const rows = dy.shape.slice(0, -1).reduce((a, b) => a * b, 1)
  const [shape, matrix] = [`${nodeName(node)}_shape`, `${nodeName(node)}_rows`]
  const value = Buffer.from(Int32Array.of(rows, channels).buffer)
  const reshape = { T: type(dy.dtype), Tshape: type(DT_INT32) }
  return [
    constantDef(shape, { dtype: DT_INT32, shape: [2] }, value),
    nodeDef(matrix, 'Reshape', [edgeName(inputs[0]!), shape], reshape),
    nodeDef(nodeName(node), 'BiasAddGrad', [matrix], attributes),
  ]
}

/** As the binding takes an attribute when it executes an op: an array is a list. */
function attributeValue(
  binding: NativeBinding,
  op: string,
  { name, type: kind, value }: OpAttribute,
): Buffer {
  const values = Array.isArray(value) ? (value as unknown[]) : undefined
  switch (kind) {
    case binding.TF_ATTR_STRING:
      if (typeof value === 'string') return bytesField(2, value)
      break
    case binding.TF_ATTR_INT:
      if (values !== undefined) return list(3, (values as number[]).map(varint))
      return integerField(3, value as number)
    case binding.TF_ATTR_FLOAT:
      if (values !== undefined) return list(4, (values as number[]).map(float))
      return floatField(4, value as number)
    case binding.TF_ATTR_BOOL:
      if (values !== undefined)
        return list(
          5,
          values.map(item => varint(item === true ? 1 : 0)),
        )
      return integerField(5, value === true ? 1 : 0)
    case binding.TF_ATTR_TYPE:
      return type(value as number)
    case binding.TF_ATTR_SHAPE:
      if (values !== undefined) return bytesField(7, shapeFields(values as number[]))
      break
  }
  throw new StepRefused('unknown-type', `attribute ${name} of op ${op} is of TensorFlow's type ${kind}`)
}

function list(field: number, packed: readonly Buffer[]): Buffer {
  return bytesField(1, bytesField(field, packed))
}

function type(dtype: number): Buffer {
  return integerField(6, dtype)
}

function shapeFields(shape: readonly number[]): Buffer[] {
  return shape.map(size => bytesField(2, integerField(1, size)))
}
