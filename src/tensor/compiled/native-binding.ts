import type * as Tfjs from '@tensorflow/tfjs'
import { TFJS_BACKENDS } from '../backend-name.js'

/** What an op or a graph gave: the handle's number in the binding, and what is in it. */
export interface TensorHandle {
  readonly id: number
  readonly shape: number[]
  readonly dtype: number
}

/** An attribute of an op; `type` is one of the binding's `TF_ATTR_…`. */
export interface OpAttribute {
  readonly name: string
  readonly type: number
  readonly value: unknown
}

/** The addon of tfjs-node, as far as steps are traced and graphs are run. */
export interface NativeBinding {
  createTensor(shape: number[], dtype: number, values: unknown): number
  deleteTensor(id: number): void
  tensorDataSync(id: number): ArrayBufferView
  executeOp(name: string, attributes: OpAttribute[], inputs: number[], outputs: number): TensorHandle[]
  loadSavedModel(folder: string, tags: string): number
  deleteSavedModel(model: number): void
  runSavedModel(model: number, inputs: number[], inputNames: string, outputNames: string): TensorHandle[]
  readonly TF_FLOAT: number
  readonly TF_INT32: number
  readonly TF_INT64: number
  readonly TF_BOOL: number
  readonly TF_ATTR_STRING: number
  readonly TF_ATTR_INT: number
  readonly TF_ATTR_FLOAT: number
  readonly TF_ATTR_BOOL: number
  readonly TF_ATTR_TYPE: number
  readonly TF_ATTR_SHAPE: number
}

/** The tfjs backend around it. */
export interface NativeBackend {
  /** Every kernel of the backend goes through this property, so a recorder can take its place. */
  binding: NativeBinding
  /** Handles of tensors; values that wait on the JavaScript side are brought over. */
  getInputTensorIds(tensors: readonly Tfjs.Tensor[]): number[]
  createOutputTensor(handle: TensorHandle): Tfjs.Tensor
}

/** The native backend of this thread's tfjs, if it computes on it. */
export function nativeBackend(tf: typeof Tfjs): NativeBackend | undefined {
  return tf.getBackend() === TFJS_BACKENDS.native ? (tf.backend() as unknown as NativeBackend) : undefined
}
