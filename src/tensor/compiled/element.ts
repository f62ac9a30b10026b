import type { NativeBinding } from './native-binding.js'

/** Bytes of one element, of the types that the graph's writer knows. */
export function sizeOfElement(binding: NativeBinding, dtype: number): number | undefined {
  switch (dtype) {
    case binding.TF_FLOAT:
    case binding.TF_INT32:
      return 4
    case binding.TF_INT64:
      return 8
    case binding.TF_BOOL:
      return 1
    default:
      return undefined
  }
}

/** A copy: a tensor made from an array may go on using its memory. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice()
}
