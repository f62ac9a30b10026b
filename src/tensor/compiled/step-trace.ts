import type { OpAttribute } from './native-binding.js'

/** One output of a node, by the node's place in the trace. */
export interface Edge {
  readonly node: number
  readonly output: number
}

/** What is in a tensor, without its values. `dtype` is TensorFlow's number. */
export interface TensorKind {
  readonly shape: readonly number[]
  readonly dtype: number
}

/** Values come from outside at each run: a tensor of the batch, or a variable. */
export interface InputNode extends TensorKind {
  readonly node: 'input'
  readonly from: 'batch' | 'variable'
  /** In the batch, or in {@link StepTrace.variables}. */
  readonly index: number
}

/** Values came from JavaScript while the step ran, or were there before it. */
export interface HostNode extends TensorKind {
  readonly node: 'host'
  readonly bytes: Uint8Array
  /** How many numbers the step had drawn from `Math.random` when it brought them. */
  readonly drawn: number
}

export interface OpNode {
  readonly node: 'op'
  readonly op: string
  readonly attributes: readonly OpAttribute[]
  readonly inputs: readonly Edge[]
  readonly outputs: readonly TensorKind[]
}

export type TraceNode = InputNode | HostNode | OpNode

/** All that a step did to TensorFlow, in order. */
export interface StepTrace {
  readonly nodes: readonly TraceNode[]
  /** What the step returned. */
  readonly outputs: readonly Edge[]
  /** Variables that the step left with other values, by their place in the list of variables. */
  readonly updates: readonly { readonly variable: number; readonly value: Edge }[]
  /** What the step drew from `Math.random`, in order. */
  readonly draws: readonly number[]
}
