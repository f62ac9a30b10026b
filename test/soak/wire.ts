// Mutated frames: whatever the bytes, decoding ends with values of known classes that lie inside the frame, or with a
// counted error that names the field.

import { SeededRandom } from '../../src/determinism/index.js'
import { hasCode } from '../../src/errors.js'
import { decodeFrame, encodeFrame, TensorData, wireCounters } from '../../src/wire/index.js'
import type { SoakOptions } from './main.js'
import { hooks, mutatedFrame, Ref } from './mutated-frames.js'

const DEFAULT_COUNT = 1_000_000

/** What lies around a frame in memory: no value that was decoded may hold it. */
const SECRET = 'SECRET-0123456789'

/** A message of a stranger makes the error, but not its size. */
const MAX_MESSAGE = 1_000

/** Far beyond what any frame of this size takes, on any machine. */
const HANG_MS = 5_000

/** Fills the codec's own memory with what a later frame must not show. */
const POISON = encodeFrame({ kind: 'tell', target: '/' }, '', [Array.from({ length: 400 }, () => SECRET)])

/** Puts a frame where what is before and after it is known. */
function surround(frame: Uint8Array, misalignment: number): Buffer {
  const secret = Buffer.from(SECRET)
  const start = 24 + misalignment
  const memory = Buffer.alloc(start + frame.length + 64, secret)
  memory.set(frame, start)
  return memory.subarray(start, start + frame.length)
}

const KNOWN: ReadonlySet<unknown> = new Set(
  [Object, Array, Map, Set, Date, TensorData, Ref, ArrayBuffer, Buffer, Uint8Array, Float64Array].map(
    known => known.prototype as unknown,
  ),
)

const BINARY = Object.getPrototypeOf(Uint8Array.prototype) as object

/** Walks over all that a frame gave: known classes, inside the frame, no more of it than the frame has bytes. */
class Inspector {
  #values = 0
  #bytes = 0

  constructor(readonly frame: Buffer) {}

  inspect(value: unknown): void {
    if (++this.#values > this.frame.length) throw new Error('more values than bytes')
    if (typeof value === 'string') {
      if (value.includes(SECRET.slice(0, 6)) || value.includes(SECRET.slice(7, 13)))
        throw new Error('read past the end')
      return
    }
    if (typeof value === 'function' || typeof value === 'symbol') throw new Error(`made a ${typeof value}`)
    if (typeof value === 'object' && value !== null) this.#object(value)
  }

  #object(value: object): void {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (value instanceof Error)
      return [value.name, value.message, value.cause].forEach(part => this.inspect(part))
    if (ArrayBuffer.isView(value)) {
      if (!BINARY.isPrototypeOf(value)) throw new Error(`made a ${value.constructor.name}`)
      return this.#memory(value)
    }
    if (!KNOWN.has(prototype)) throw new Error(`made a ${value.constructor.name}`)
    if (value instanceof TensorData) {
      this.inspect(value.name)
      this.#memory((value as TensorData).bytes)
    } else if (value instanceof ArrayBuffer) this.#memory(new Uint8Array(value))
    else if (value instanceof Map) [...value].flat().forEach(part => this.inspect(part))
    else if (value instanceof Set) [...value].forEach(part => this.inspect(part))
    else if (value instanceof Ref) this.inspect(value.path)
    else if (Array.isArray(value)) value.forEach(part => this.inspect(part))
    else
      Object.entries(value)
        .flat()
        .forEach(part => this.inspect(part))
  }

  #memory({ buffer, byteOffset, byteLength }: ArrayBufferView): void {
    this.#bytes += byteLength
    if (this.#bytes > this.frame.length) throw new Error('more binary data than bytes')
    if (buffer !== this.frame.buffer) return
    const start = byteOffset - this.frame.byteOffset
    if (start < 0 || start + byteLength > this.frame.length)
      throw new Error('a view reaches out of the frame')
  }
}

/** @returns the field that was wrong, or undefined if the frame was taken */
function tryFrame(frame: Buffer): string | undefined {
  try {
    const { envelope, name, args } = decodeFrame(frame, hooks)
    // Keys of the result are no values of the frame, so the envelope is looked at on its own.
    new Inspector(Buffer.alloc(frame.length + 64)).inspect(Object.values(envelope))
    const inspector = new Inspector(frame)
    inspector.inspect(name)
    for (const value of args) inspector.inspect(value)
    return undefined
  } catch (error) {
    if (!hasCode(error, 'ERR_FRAME') && !hasCode(error, 'ERR_PROTOCOL_VERSION')) throw error
    const field = error.data['field']
    if (typeof field !== 'string') throw new Error('the error names no field', { cause: error })
    const size = error.message.length
    if (size > MAX_MESSAGE) throw new Error(`a message of ${size} characters`, { cause: error })
    if (error.message.includes(SECRET)) throw new Error('read past the end', { cause: error })
    return field
  }
}

const refusals = (): number => Object.values(wireCounters().badFrames).reduce((sum, count) => sum + count, 0)

/** @throws the first violation, with the frame in hexadecimal */
export function soak({ count = DEFAULT_COUNT, seed }: SoakOptions): string {
  const random = new SeededRandom(seed)
  const globals = Object.getOwnPropertyNames(Object.prototype).join()
  const fields = new Map<string, number>()
  const before = refusals()
  let refused = 0
  for (let i = 0; i < count; i++) {
    if (i % 64 === 0) decodeFrame(POISON)
    const bytes = mutatedFrame(random)
    const frame = surround(bytes, random.below(8))
    const started = performance.now()
    try {
      const field = tryFrame(frame)
      if (field !== undefined) {
        refused++
        fields.set(field, (fields.get(field) ?? 0) + 1)
      }
      if (performance.now() - started > HANG_MS) throw new Error(`took more than ${HANG_MS} ms`)
      if (Object.getOwnPropertyNames(Object.prototype).join() !== globals)
        throw new Error('Object.prototype changed')
    } catch (cause) {
      throw new Error(`frame ${i} of seed ${seed}: ${bytes.toString('hex')}`, { cause })
    }
  }
  if (refusals() - before !== refused) throw new Error(`${refused} refused, ${refusals() - before} counted`)
  const top = [...fields].sort((a, b) => b[1] - a[1]).map(([field, times]) => `${field} ${times}`)
  return `${count} mutated frames: ${count - refused} taken, ${refused} refused (${top.join(', ')})`
}
