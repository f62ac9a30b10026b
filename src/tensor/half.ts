/** Bits of a float32 as a number: both views lie on the same memory. */
const bits = new Uint32Array(1)
const number = new Float32Array(bits.buffer)

/** The upper half of a float32: exact. */
export function widenBfloat16(values: Uint16Array): Float32Array {
  const wide = new Float32Array(values.length)
  new Uint32Array(wide.buffer).set(Uint32Array.from(values, value => value << 16))
  return wide
}

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits: exact. */
export function widenFloat16(values: Uint16Array): Float32Array {
  return Float32Array.from(values, widen)
}

function widen(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  bits[0] = ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13)
  return number[0] as number
}
