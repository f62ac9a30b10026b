import { createHash } from 'node:crypto'
import type { VariableSpec } from './model-spec.js'

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/**
 * SHA-256 of a model's values, as 64 lower-case hexadecimal digits: equal if and only if names, shapes and every bit
 * are (collisions apart).
 *
 * Hashed are the variables in program order, all trainable ones first, then the others; each as: length of the name
 * in bytes (uint32), the name (UTF-8), the number of dimensions (uint32), each dimension (uint32), the elements in
 * row-major order (float32). All numbers little-endian, nothing in between.
 *
 * @param values one array for each variable, in the order of `variables`
 */
export function weightsSha256(variables: readonly VariableSpec[], values: readonly Float32Array[]): string {
  const hash = createHash('sha256')
  const order = [...variables.keys()].sort(
    (a, b) => Number(variables[b]!.trainable) - Number(variables[a]!.trainable) || a - b,
  )
  for (const index of order) {
    const { name, shape } = variables[index]!
    const nameBytes = Buffer.from(name, 'utf8')
    hash.update(uint32(nameBytes.length)).update(nameBytes).update(uint32(shape.length))
    for (const size of shape) hash.update(uint32(size))
    hash.update(littleEndian(values[index]!))
  }
  return hash.digest('hex')
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function littleEndian(values: Float32Array): Buffer {
  // A copy: a hash does not take shared memory, and a swap must not touch the values themselves.
  const bytes = Buffer.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return LITTLE_ENDIAN ? bytes : bytes.swap32()
}
