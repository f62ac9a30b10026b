import type * as Tfjs from '@tensorflow/tfjs'

/** What the binding calls the types of an op's attributes and of tensors. */
interface Binding {
  readonly TF_ATTR_BOOL: number
  readonly TF_ATTR_INT: number
  readonly TF_ATTR_STRING: number
  readonly TF_ATTR_TYPE: number
  readonly TF_FLOAT: number
}

interface OpAttribute {
  readonly name: string
  readonly type: number
  readonly value: boolean | number | string | readonly number[]
}

/** The part of tfjs-node's backend that runs TensorFlow's ops by name. */
export interface NativeBackend {
  readonly binding: Binding
  executeSingleOutput(
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly Tfjs.TensorInfo[],
  ): Tfjs.TensorInfo
  executeMultipleOutputs(
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly Tfjs.TensorInfo[],
    outputs: number,
  ): Tfjs.TensorInfo[]
}

/** Makes attributes of ops, all of whose tensors are float32. */
export class Attributes {
  readonly #binding: Binding

  constructor({ binding }: NativeBackend) {
    this.#binding = binding
  }

  /** `T`: what the tensors hold. */
  float32(): OpAttribute {
    return { name: 'T', type: this.#binding.TF_ATTR_TYPE, value: this.#binding.TF_FLOAT }
  }

  bool(name: string, value: boolean): OpAttribute {
    return { name, type: this.#binding.TF_ATTR_BOOL, value }
  }

  ints(name: string, value: readonly number[]): OpAttribute {
    return { name, type: this.#binding.TF_ATTR_INT, value }
  }

  text(name: string, value: string): OpAttribute {
    return { name, type: this.#binding.TF_ATTR_STRING, value }
  }
}

/** What tfjs calls the native backend. */
export const NATIVE = 'tensorflow'

/**
 * Makes a kernel of the native backend, which a gradient may then run by its name.
 *
 * @param run gets the backend, the maker of attributes, and what tfjs hands to kernels
 */
export function addNativeKernel(
  tf: typeof Tfjs,
  kernelName: string,
  run: (ops: NativeBackend, attributes: Attributes, params: KernelParams) => Tfjs.TensorInfo,
): void {
  tf.registerKernel({
    kernelName,
    backendName: NATIVE,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const ops = backend as unknown as NativeBackend
      return run(ops, new Attributes(ops), { inputs, attrs: attrs ?? {} })
    },
  })
}

export interface KernelParams {
  readonly inputs: Readonly<Record<string, Tfjs.TensorInfo | undefined>>
  readonly attrs: Tfjs.NamedAttrMap
}

/**
 * Replaces the gradient of a tfjs kernel. Gradients belong to no backend, so the new one must leave other backends what
 * they had.
 *
 * @param make gets the gradient that was there
 */
export function replaceGradient(
  tf: typeof Tfjs,
  kernelName: string,
  make: (stock: Tfjs.GradConfig) => Tfjs.GradConfig,
): void {
  const stock = tf.getGradient(kernelName)
  tf.unregisterGradient(kernelName)
  tf.registerGradient(make(stock))
}
