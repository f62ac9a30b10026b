import { errorInfo, hasCode, TroupeError, type ErrorCode, type ErrorInfo } from '../errors.js'
import { BodyWriter } from './body.js'
import { isOddText, withoutOddities } from './odd-text.js'
import { MAX_ARGUMENT_DEPTH, MAX_VALUES, MAX_KEYS, MAX_UINT64, MIN_INT64 } from './plain.js'
import { TAG_MARK } from './scan.js'
import { ARRAY_BUFFER_TAG, BINARIES, BUFFER_TAG, isReservedTag, TAGS } from './tags.js'
import { TensorData } from './tensor-data.js'
import { sharedBufferOf, sharedReference, type SharedBuffers } from './shared-memory.js'
import { formatPath, type PathStep } from './value-path.js'
import type { ValueHooks } from './value-hooks.js'

/**
 * Turns arguments into what msgpackr can write without extensions: special values become tags, binary ones go
 * into the body. The slow twin of `isPlain`, which sees to it that most messages never come here. Works on a copy
 * of the containers, keeps the path to where it is, and names it in the error.
 */
export class PayloadEncoder {
  readonly body = new BodyWriter()
  readonly #hooks: ValueHooks | undefined
  readonly #path: PathStep[] = []
  /** The containers that hold the current value, outermost first. */
  readonly #ancestors: object[] = []
  /** How long the path was at each of them. */
  readonly #steps: number[] = []
  #valuesLeft = MAX_VALUES
  /** Levels that tags add to those of the ancestors. */
  #tagDepth = 0

  readonly #shared: SharedBuffers | undefined

  /** @param shared takes the shared buffers; undefined where the frame may leave the process */
  constructor(hooks: ValueHooks | undefined, shared: SharedBuffers | undefined) {
    this.#hooks = hooks
    this.#shared = shared
  }

  /**
   * @throws TroupeError ERR_PAYLOAD naming the path to a value that cannot be sent; ERR_SHARED_MEMORY naming the path to
   * memory that would have to leave its process
   */
  encode(args: readonly unknown[]): unknown[] {
    return args.map((value, index) => this.#at(index, value))
  }

  #at(step: PathStep, value: unknown): unknown {
    this.#path.push(step)
    const wire = this.#value(value)
    this.#path.pop()
    return wire
  }

  #value(value: unknown): unknown {
    if (--this.#valuesLeft < 0) {
      throw this.#refuse(`more than ${MAX_VALUES} values in one payload; send bulk as a typed array`)
    }
    switch (typeof value) {
      case 'string':
        return this.#text(value)
      case 'number':
        return Object.is(value, -0) ? tag(TAGS.number, '-0') : value
      case 'boolean':
        return value
      case 'bigint':
        return value >= MIN_INT64 && value <= MAX_UINT64 ? value : tag(TAGS.bigint, value.toString(16))
      case 'undefined':
        return tag(TAGS.undefined, null)
      case 'object':
        return value === null ? null : this.#object(value)
      default:
        throw this.#refuse(typeof value)
    }
  }

  #text(text: string): unknown {
    if (!isOddText(text)) return text
    return tag(
      TAGS.utf16,
      Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)),
    )
  }

  #object(value: object): unknown {
    if (this.#ancestors.length + this.#tagDepth >= MAX_ARGUMENT_DEPTH) {
      throw this.#refuse(this.#cycle() ?? `nested deeper than ${MAX_ARGUMENT_DEPTH} levels`)
    }
    this.#ancestors.push(value)
    this.#steps.push(this.#path.length)
    const wire = this.#container(value)
    this.#ancestors.pop()
    this.#steps.pop()
    return wire
  }

  #container(value: object): unknown {
    if (Array.isArray(value) && Object.getPrototypeOf(value) === Array.prototype) return this.#array(value)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      return this.#record(value as Record<string, unknown>)
    }
    if (value instanceof TensorData) return this.#tensor(value as TensorData)
    if (prototype === SharedArrayBuffer.prototype)
      return this.#sharedMemory(value, value as SharedArrayBuffer)
    if (prototype === Date.prototype) return tag(TAGS.date, (value as Date).getTime())
    if (prototype === Map.prototype) return this.#map(value as Map<unknown, unknown>)
    if (prototype === Set.prototype) return this.#set(value as Set<unknown>)
    if (ArrayBuffer.isView(value)) {
      const shared = sharedBufferOf(value)
      const wire = shared === undefined ? this.#binary(value, prototype) : this.#sharedMemory(value, shared)
      if (wire !== undefined) return wire
    }
    if (prototype === ArrayBuffer.prototype)
      return this.#block(ARRAY_BUFFER_TAG, new Uint8Array(value as ArrayBuffer))
    const taken = this.#hooks?.encode(value)
    if (taken !== undefined) return this.#foreign(taken)
    if (value instanceof Error) return this.#error(value)
    throw this.#refuse(className(value))
  }

  #array(values: readonly unknown[]): unknown[] {
    const wire: unknown[] = []
    for (let i = 0; i < values.length; i++) {
      if (values[i] === undefined && !(i in values)) {
        this.#path.push(i)
        throw this.#refuse('hole in an array')
      }
      wire.push(this.#at(i, values[i]))
    }
    return wire
  }

  #record(record: Readonly<Record<string, unknown>>): unknown {
    const keys = Object.keys(record)
    const [first] = keys
    const odd =
      (keys.length === 1 && first?.startsWith(TAG_MARK)) ||
      keys.length > MAX_KEYS ||
      keys.some(key => key === '__proto__' || isOddText(key))
    if (odd) {
      return this.#tagged(TAGS.object, () =>
        keys.flatMap(key => [this.#text(key), this.#at(key, record[key])]),
      )
    }
    const wire: Record<string, unknown> = {}
    for (const key of keys) wire[key] = this.#at(key, record[key])
    return wire
  }

  #map(map: ReadonlyMap<unknown, unknown>): unknown {
    return this.#tagged(TAGS.map, () =>
      [...map].flatMap(([key, value], i) => [
        this.#at({ call: 'keys', key: i }, key),
        this.#at(typeof key === 'string' ? { call: 'get', key } : { call: 'values', key: i }, value),
      ]),
    )
  }

  #set(set: ReadonlySet<unknown>): unknown {
    return this.#tagged(TAGS.set, () =>
      [...set].map((value, i) => this.#at({ call: 'values', key: i }, value)),
    )
  }

  #tensor(tensor: TensorData): unknown {
    if (tensor.moved) throw this.#refuse('TensorData that was moved before')
    const shared = sharedBufferOf(tensor)
    if (shared !== undefined) return this.#sharedMemory(tensor, shared)
    return tag(TAGS.tensor, this.body.add(tensor.dtype, tensor.shape, tensor.bytes, tensor.name))
  }

  #binary(view: ArrayBufferView, prototype: unknown): unknown {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    if (prototype === Buffer.prototype) return this.#block(BUFFER_TAG, bytes)
    const { name } = view.constructor
    return BINARIES.get(name)?.prototype === prototype ? this.#block(name, bytes) : undefined
  }

  /** By reference: whoever gets it reads and writes the same memory. */
  #sharedMemory(value: object, buffer: SharedArrayBuffer): unknown {
    const shared = this.#shared
    const known = shared?.indexOf(buffer) ?? -1
    const reference = sharedReference(value, known === -1 ? (shared?.length ?? 0) : known)
    if (reference === undefined) return undefined
    if (shared === undefined) throw this.#refuse('shared memory', 'ERR_SHARED_MEMORY')
    if (known === -1) shared.push(buffer)
    return tag(TAGS.shared, reference)
  }

  #block(name: string, bytes: Uint8Array): unknown {
    return tag(name, this.body.add('uint8', [bytes.byteLength], bytes))
  }

  #foreign([name, data]: readonly [string, unknown]): unknown {
    if (isReservedTag(name)) throw this.#refuse(`a hook used the codec's own tag '${name}'`)
    return this.#tagged(name, () => this.#value(data))
  }

  /** An error must get through whatever hangs on it: data that cannot be sent are dropped, and it says so. */
  #error(error: Error): unknown {
    return this.#tagged(TAGS.error, () => this.#errorInfo(errorInfo(error)))
  }

  #errorInfo(info: ErrorInfo): unknown {
    const { name, message, code, data, stack, cause } = info
    this.#tagDepth += 1
    const wire = {
      name: withoutOddities(name),
      message: withoutOddities(message),
      ...(code === undefined ? {} : { code: withoutOddities(code) }),
      ...(data === undefined ? {} : { data: this.#errorData(data) }),
      ...(stack === undefined ? {} : { stack: withoutOddities(stack) }),
      ...(cause === undefined ? {} : { cause: this.#errorInfo(cause) }),
    }
    this.#tagDepth -= 1
    return wire
  }

  #errorData(data: unknown): unknown {
    const blocks = this.body.descriptors.length
    const steps = this.#path.length
    const levels = this.#ancestors.length
    const tagDepth = this.#tagDepth
    const shared = this.#shared?.length
    try {
      return this.#at('data', data)
    } catch (error) {
      if (!hasCode(error, 'ERR_PAYLOAD') && !hasCode(error, 'ERR_SHARED_MEMORY')) throw error
      this.body.truncate(blocks)
      if (this.#shared !== undefined && shared !== undefined) this.#shared.length = shared
      this.#path.length = steps
      this.#ancestors.length = this.#steps.length = levels
      this.#tagDepth = tagDepth
      return { dropped: withoutOddities(error.message) }
    }
  }

  /** A tag and what it holds nest one deeper than the value they stand for. */
  #tagged(name: string, data: () => unknown): unknown {
    this.#tagDepth += 1
    const wire = tag(name, data())
    this.#tagDepth -= 1
    return wire
  }

  /** If an ancestor holds itself: shortens the path to the first place where it comes back, and says so. */
  #cycle(): string | undefined {
    const again = this.#ancestors.findIndex((value, i) => this.#ancestors.indexOf(value) < i)
    const first = this.#ancestors[again]
    if (first === undefined) return undefined
    this.#path.length = this.#steps[again] ?? 0
    const origin = this.#path.slice(0, this.#steps[this.#ancestors.indexOf(first)])
    return `cyclic, the same object as ${formatPath(origin)}`
  }

  #refuse(what: string, code: ErrorCode = 'ERR_PAYLOAD'): TroupeError {
    const path = formatPath(this.#path)
    return new TroupeError(code, `${path}: ${what}`, { data: { path, what } })
  }
}

function tag(name: string, data: unknown): Record<string, unknown> {
  return { [TAG_MARK + name]: data }
}

function className(value: object): string {
  const name: unknown = (value.constructor as { name?: unknown } | undefined)?.name
  return typeof name === 'string' && name !== '' ? `instance of ${name}` : 'instance of a class'
}
