import type * as Tfjs from '@tensorflow/tfjs'
import { TroupeError } from '../errors.js'
import { TensorData } from '../wire/index.js'
import { widenBfloat16, widenFloat16 } from './half.js'

/** The part of the wasm backend that shows a tensor's memory without copying it. */
interface HeapView {
  typedArrayFromHeap(info: Tfjs.TensorInfo): Float32Array
}

/**
 * A copy of a tensor, as a message carries it. Blocks until the backend has computed it.
 * Backends may hand out their own memory (the JavaScript one does), so nothing here is shared with the tensor.
 */
export function toTensorData(tensor: Tfjs.Tensor): TensorData {
  const shape = [...tensor.shape]
  switch (tensor.dtype) {
    case 'string':
      return TensorData.ofStrings(tensor.dataSync<'string'>(), shape)
    case 'float32':
    case 'complex64':
      return TensorData.of(tensor.dtype, Float32Array.from(tensor.dataSync()), shape)
    case 'int32':
      return TensorData.of('int32', Int32Array.from(tensor.dataSync()), shape)
    case 'bool':
      return TensorData.of('bool', Uint8Array.from(tensor.dataSync()), shape)
    default:
      throw new TroupeError('ERR_TENSOR_DTYPE', `a tensor of dtype ${String(tensor.dtype)} cannot be sent`)
  }
}

/**
 * A tensor of the values in `data`, in memory of its own: native backends alias what they are given or copy it,
 * depending on where it lies, so they are given a copy. Narrow dtypes are widened where that is exact: int8 and
 * uint8 to int32, float16 and bfloat16 to float32.
 *
 * @throws ERR_TENSOR_DTYPE for int64 and float64, which tfjs cannot hold
 */
export function fromTensorData(tf: typeof Tfjs, data: TensorData): Tfjs.Tensor {
  const shape = [...data.shape]
  switch (data.dtype) {
    case 'string':
      return tf.tensor((data as TensorData<'string'>).strings(), shape, 'string')
    case 'float32':
      return tf.tensor(Float32Array.from((data as TensorData<'float32'>).view()), shape, 'float32')
    case 'int32':
      return tf.tensor(Int32Array.from((data as TensorData<'int32'>).view()), shape, 'int32')
    case 'bool':
      return tf.tensor(Uint8Array.from((data as TensorData<'bool'>).view()), shape, 'bool')
    case 'int8':
    case 'uint8':
      return tf.tensor(Int32Array.from((data as TensorData<'int8' | 'uint8'>).view()), shape, 'int32')
    case 'float16':
      return tf.tensor(widenFloat16((data as TensorData<'float16'>).view()), shape, 'float32')
    case 'bfloat16':
      return tf.tensor(widenBfloat16((data as TensorData<'bfloat16'>).view()), shape, 'float32')
    case 'complex64':
      return complexFrom(tf, (data as TensorData<'complex64'>).view(), shape)
    default:
      throw new TroupeError('ERR_TENSOR_DTYPE', `tfjs has no dtype ${data.dtype}`, {
        data: { dtype: data.dtype },
      })
  }
}

/**
 * Writes a float32 tensor's values to the start of `out` (often memory shared with other threads), with one copy
 * where the backend allows it. Blocks until the backend has computed them.
 *
 * @param out at least `tensor.size` numbers
 */
export function readInto(tf: typeof Tfjs, tensor: Tfjs.Tensor, out: Float32Array): void {
  if (tensor.dtype !== 'float32') {
    throw new TroupeError('ERR_TENSOR_DTYPE', `readInto needs float32; the tensor is ${tensor.dtype}`)
  }
  if (out.length < tensor.size) {
    throw new TroupeError(
      'ERR_TENSOR_DTYPE',
      `readInto needs ${tensor.size} numbers; got room for ${out.length}`,
    )
  }
  const backend: unknown = tf.backend()
  if (tf.getBackend() === 'wasm' && tensor.size > 0 && isHeapView(backend)) {
    // The view dies at the next allocation in the wasm heap: it is read at once.
    out.set(backend.typedArrayFromHeap(tensor))
  } else {
    out.set(tensor.dataSync())
  }
}

function isHeapView(backend: unknown): backend is HeapView {
  return typeof (backend as Partial<HeapView>).typedArrayFromHeap === 'function'
}

function complexFrom(tf: typeof Tfjs, interleaved: Float32Array, shape: number[]): Tfjs.Tensor {
  const size = interleaved.length / 2
  const real = Float32Array.from({ length: size }, (_, i) => interleaved[2 * i] as number)
  const imaginary = Float32Array.from({ length: size }, (_, i) => interleaved[2 * i + 1] as number)
  return tf.tidy(() => tf.complex(tf.tensor(real, shape), tf.tensor(imaginary, shape)))
}
