import { errorFromInfo, type ErrorInfo } from '../errors.js'
import type { Block } from './body.js'
import { countCopied, countViewed } from './counters.js'
import { badFrame } from './frame-error.js'
import { glimpse } from './glimpse.js'
import { TAG_MARK } from './scan.js'
import { ARRAY_BUFFER_TAG, BINARIES, BUFFER_TAG, TAGS } from './tags.js'
import { LAYOUTS, isDType } from './dtype.js'
import { TensorData, tensorFlaw } from './tensor-data.js'
import { reviveShared } from './shared-memory.js'
import type { ValueHooks } from './value-hooks.js'

/**
 * Turns what msgpackr read back into the values that were sent: tags into what they stand for, indices into views
 * of the body. Nothing here trusts the sender; nesting is bounded by the scan that came before.
 */
export class PayloadDecoder {
  readonly #blocks: readonly Block[]
  readonly #hooks: ValueHooks | undefined
  /** Blocks are named once each, in order. */
  #nextBlock = 0

  readonly #shared: readonly SharedArrayBuffer[] | undefined

  /** @param shared those that came beside the frame; undefined where it came from outside the process */
  constructor(
    blocks: readonly Block[],
    hooks: ValueHooks | undefined,
    shared: readonly SharedArrayBuffer[] | undefined,
  ) {
    this.#blocks = blocks
    this.#shared = shared
    this.#hooks = hooks
  }

  /** @throws TroupeError ERR_FRAME, field `args` or one of a tensor */
  decode(args: readonly unknown[]): unknown[] {
    const values = this.#list(args)
    if (this.#nextBlock !== this.#blocks.length) {
      throw badFrame('tensors', `${this.#blocks.length - this.#nextBlock} tensors that no argument names`)
    }
    return values
  }

  #value(wire: unknown): unknown {
    if (typeof wire !== 'object' || wire === null) return wire
    if (Array.isArray(wire)) return this.#list(wire)
    const record = wire as Record<string, unknown>
    const keys = Object.keys(record)
    const [first] = keys
    if (keys.length === 1 && first?.startsWith(TAG_MARK)) {
      return this.#tagged(first.slice(TAG_MARK.length), record[first])
    }
    for (const key of keys) record[key] = this.#value(record[key])
    return record
  }

  #list(wire: readonly unknown[]): unknown[] {
    return wire.map(value => this.#value(value))
  }

  #tagged(name: string, data: unknown): unknown {
    switch (name) {
      case TAGS.undefined:
        return undefined
      case TAGS.number:
        if (data === '-0') return -0
        throw badData(name, data)
      case TAGS.bigint:
        return bigint(data)
      case TAGS.utf16:
        return utf16(data)
      case TAGS.object:
        return this.#object(data)
      case TAGS.map:
        return new Map(this.#pairs(name, data))
      case TAGS.set:
        return new Set(this.#list(list(name, data)))
      case TAGS.date:
        if (typeof data !== 'number') throw badData(name, data)
        return new Date(data)
      case TAGS.error:
        return errorFromInfo(this.#errorInfo(data))
      case TAGS.tensor:
        return this.#tensor(data)
      case TAGS.shared:
        return reviveShared(data, this.#shared)
      default:
        return this.#binary(name, data) ?? this.#foreign(name, data)
    }
  }

  #pairs(name: string, data: unknown): [unknown, unknown][] {
    const flat = this.#list(list(name, data))
    if (flat.length % 2 !== 0) throw badData(name, data)
    const pairs: [unknown, unknown][] = []
    for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i], flat[i + 1]])
    return pairs
  }

  /** Own properties only, also for a key named `__proto__`. */
  #object(data: unknown): object {
    const object = {}
    for (const [key, value] of this.#pairs(TAGS.object, data)) {
      if (typeof key !== 'string') throw badData(TAGS.object, key)
      Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
    }
    return object
  }

  #errorInfo(data: unknown): ErrorInfo {
    if (!isRecord(data)) throw badData(TAGS.error, data)
    const { name, message, code, stack, cause } = data
    const info = this.#value(data['data'])
    if (typeof name !== 'string' || typeof message !== 'string') throw badData(TAGS.error, data)
    if (code !== undefined && typeof code !== 'string') throw badData(TAGS.error, code)
    if (stack !== undefined && typeof stack !== 'string') throw badData(TAGS.error, stack)
    if (info !== undefined && !isRecord(info)) throw badData(TAGS.error, info)
    return {
      name,
      message,
      ...(code === undefined ? {} : { code }),
      ...(info === undefined ? {} : { data: info }),
      ...(stack === undefined ? {} : { stack }),
      ...(cause === undefined ? {} : { cause: this.#errorInfo(cause) }),
    }
  }

  #block(name: string, data: unknown): { block: Block; index: number } {
    const block = this.#blocks[this.#nextBlock]
    if (data !== this.#nextBlock || block === undefined) {
      throw badFrame('args', `'${name}' must name tensor ${this.#nextBlock} next, got ${glimpse(data)}`)
    }
    return { block, index: this.#nextBlock++ }
  }

  #tensor(data: unknown): TensorData {
    const { block, index } = this.#block(TAGS.tensor, data)
    const { dtype, shape, name } = block
    const bytes = placed(block.bytes, isDType(dtype) ? LAYOUTS[dtype].view.BYTES_PER_ELEMENT : 1)
    const flaw = tensorFlaw(dtype, shape, bytes, name)
    if (flaw !== undefined) {
      throw badFrame(`tensor.${flaw.field}`, `tensor ${index}: ${flaw.what}`, { data: { index } })
    }
    return new TensorData(dtype as TensorData['dtype'], shape as number[], bytes, name as string | undefined)
  }

  #binary(name: string, data: unknown): object | undefined {
    const elements = BINARIES.get(name)
    if (elements === undefined && name !== BUFFER_TAG && name !== ARRAY_BUFFER_TAG) return undefined
    const { block, index } = this.#block(name, data)
    const { dtype, shape, bytes } = block
    if (dtype !== 'uint8') {
      throw badFrame('tensor.dtype', `tensor ${index}: ${name} travels as uint8`, { data: { index } })
    }
    const size = elements?.BYTES_PER_ELEMENT ?? 1
    const flat = Array.isArray(shape) && shape.length === 1 && shape[0] === bytes.byteLength
    if (!flat || bytes.byteLength % size !== 0) {
      const what = `tensor ${index}: shape ${glimpse(shape)} of ${bytes.byteLength} bytes makes no ${name}`
      throw badFrame('tensor.shape', what, { data: { index } })
    }
    if (name === ARRAY_BUFFER_TAG) return copied(bytes).buffer
    const { buffer, byteOffset, byteLength } = placed(bytes, size)
    if (elements === undefined) return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
    return new elements(buffer, byteOffset, byteLength / size)
  }

  #foreign(name: string, data: unknown): unknown {
    const revived = this.#value(data)
    let value: unknown
    try {
      value = this.#hooks?.decode(name, revived)
    } catch (cause) {
      throw badFrame('args', `the value tagged ${glimpse(name)} was refused`, { cause })
    }
    if (value === undefined) throw badFrame('args', `unknown tag ${glimpse(name)}`)
    return value
  }
}

/** The bytes where a view of elements of `size` can be laid over them: where they are if possible. */
function placed(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.byteOffset % size !== 0) return copied(bytes)
  countViewed(bytes.byteLength)
  return bytes
}

function copied(bytes: Uint8Array): Uint8Array {
  countCopied(bytes.byteLength)
  const copy = new Uint8Array(bytes.byteLength)
  copy.set(bytes)
  return copy
}

function list(name: string, data: unknown): readonly unknown[] {
  if (!Array.isArray(data)) throw badData(name, data)
  return data
}

const HEX = /^-?[0-9a-f]+$/

function bigint(data: unknown): bigint {
  if (typeof data !== 'string' || !HEX.test(data)) throw badData(TAGS.bigint, data)
  try {
    return data.startsWith('-') ? -BigInt(`0x${data.slice(1)}`) : BigInt(`0x${data}`)
  } catch (cause) {
    throw badFrame('args', 'a bigint larger than this engine can hold', { cause })
  }
}

const UNITS_AT_ONCE = 4096

function utf16(data: unknown): string {
  const units = list(TAGS.utf16, data)
  let text = ''
  for (let i = 0; i < units.length; i += UNITS_AT_ONCE) {
    const some = units.slice(i, i + UNITS_AT_ONCE)
    if (!some.every(isUnit)) throw badData(TAGS.utf16, data)
    text += String.fromCharCode(...some)
  }
  return text
}

function isUnit(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function badData(name: string, data: unknown): Error {
  return badFrame('args', `the tag '${name}' cannot hold ${glimpse(data)}`)
}
