import { badFrame } from './frame-error.js'
import { glimpse } from './glimpse.js'
import { BINARIES, BUFFER_TAG, TAGS } from './tags.js'
import { TensorData, tensorFlaw } from './tensor-data.js'

/**
 * The shared buffers of one message, beside its frame: the frame names them by index. They travel by reference, with
 * `postMessage` or within a thread; bytes alone can never stand for one.
 */
export type SharedBuffers = SharedArrayBuffer[]

/** How a frame names shared memory: a buffer by its index, a view as below, a tensor with what else makes it one. */
export type SharedReference =
  | number
  | readonly [index: number, viewClass: string, byteOffset: number, length: number]
  | readonly [
      index: number,
      tensor: typeof TAGS.tensor,
      byteOffset: number,
      byteLength: number,
      dtype: string,
      shape: readonly number[],
      name: string | null,
    ]

/** The shared buffer that this value is, or is a view of: else undefined. */
export function sharedBufferOf(value: object): SharedArrayBuffer | undefined {
  if (value instanceof TensorData)
    return value.moved ? undefined : sharedBufferOf((value as TensorData).bytes)
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value
  return buffer instanceof SharedArrayBuffer ? buffer : undefined
}

/** Names a value whose memory is `buffers[index]`; undefined for a view that has no name on the wire. */
export function sharedReference(value: object, index: number): SharedReference | undefined {
  if (value instanceof SharedArrayBuffer) return index
  if (value instanceof TensorData) {
    const { dtype, shape, name, bytes } = value as TensorData
    return [index, TAGS.tensor, bytes.byteOffset, bytes.byteLength, dtype, shape, name ?? null]
  }
  const { byteOffset, byteLength, constructor } = value as Uint8Array
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Buffer.prototype) return [index, BUFFER_TAG, byteOffset, byteLength]
  const viewClass = BINARIES.get(constructor.name)
  if (viewClass === undefined || viewClass.prototype !== prototype) return undefined
  return [index, constructor.name, byteOffset, byteLength / viewClass.BYTES_PER_ELEMENT]
}

/**
 * The value that a reference names.
 *
 * @param buffers those that came with the frame; undefined where it came from outside the process
 * @throws TroupeError ERR_FRAME, field `args` or one of a tensor
 */
export function reviveShared(reference: unknown, buffers: readonly SharedArrayBuffer[] | undefined): object {
  if (buffers === undefined) throw badFrame('args', 'shared memory is named, but none can come from outside')
  if (!Array.isArray(reference)) return bufferAt(reference, buffers)
  const [index, kind, byteOffset, length, dtype, shape, name] = reference as unknown[]
  const buffer = bufferAt(index, buffers)
  if (kind === TAGS.tensor) {
    const bytes = view(BINARIES.get('Uint8Array')!, buffer, byteOffset, length) as Uint8Array
    const flaw = tensorFlaw(dtype, shape, bytes, name ?? undefined)
    if (flaw !== undefined) throw badFrame(`tensor.${flaw.field}`, `shared tensor: ${flaw.what}`)
    const named = (name ?? undefined) as string | undefined
    return new TensorData(dtype as TensorData['dtype'], shape as number[], bytes, named)
  }
  if (kind === BUFFER_TAG) {
    const { byteLength } = view(BINARIES.get('Uint8Array')!, buffer, byteOffset, length)
    return Buffer.from(buffer as unknown as ArrayBuffer, byteOffset as number, byteLength)
  }
  const viewClass = typeof kind === 'string' ? BINARIES.get(kind) : undefined
  if (viewClass === undefined) throw badFrame('args', `no view of shared memory is a ${glimpse(kind)}`)
  return view(viewClass, buffer, byteOffset, length)
}

function bufferAt(index: unknown, buffers: readonly SharedArrayBuffer[]): SharedArrayBuffer {
  const buffer = typeof index === 'number' ? buffers[index] : undefined
  if (buffer !== undefined) return buffer
  throw badFrame('args', `shared buffer ${glimpse(index)} of ${buffers.length} is named`)
}

type ViewClass = NonNullable<ReturnType<(typeof BINARIES)['get']>>

function view(
  viewClass: ViewClass,
  buffer: SharedArrayBuffer,
  byteOffset: unknown,
  length: unknown,
): ArrayBufferView {
  const { BYTES_PER_ELEMENT: size, name } = viewClass
  const fits =
    isCount(byteOffset) &&
    isCount(length) &&
    byteOffset % size === 0 &&
    byteOffset + length * size <= buffer.byteLength
  if (fits) return new viewClass(buffer, byteOffset, length)
  const what = `${glimpse(length)} elements at byte ${glimpse(byteOffset)} are no ${name} of ${buffer.byteLength} shared bytes`
  throw badFrame('args', what)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
