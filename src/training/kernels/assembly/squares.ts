import { bytesOf } from './lanes'

/** NORM_BLOCK_ELEMENTS of the kernels, in bytes. */
const BLOCK_BYTES: usize = 1024

/** The squares of the first two of four elements, in float64: exact. */
@inline
function squares(values: v128): v128 {
  const wide = f64x2.promote_low_f32x4(values)
  return f64x2.mul(wide, wide)
}

@inline
function lastTwo(values: v128): v128 {
  return v128.shuffle<i64>(values, values, 1, 1)
}

/** Four elements, of which only so many bytes are there: the rest are 0. */
@inline
function readPart(at: usize, bytes: usize): v128 {
  if (bytes >= 16) return v128.load(at)
  let values = f32x4.splat(0)
  if (bytes > 0) values = f32x4.replace_lane(values, 0, load<f32>(at))
  if (bytes > 4) values = f32x4.replace_lane(values, 1, load<f32>(at + 4))
  if (bytes > 8) values = f32x4.replace_lane(values, 2, load<f32>(at + 8))
  return values
}

/**
 * Eight lanes of float64; squares are never below 0, so adding 0 for what is not there changes no bit. Counts what is
 * left, since the end of the memory is no 32-bit offset.
 */
function blockSum(from: usize, bytes: usize): f64 {
  let a = f64x2.splat(0)
  let b = a
  let c = a
  let d = a
  let at = from
  let left = bytes
  for (; left >= 32; left -= 32) {
    const low = v128.load(at)
    const high = v128.load(at, 16)
    a = f64x2.add(a, squares(low))
    b = f64x2.add(b, squares(lastTwo(low)))
    c = f64x2.add(c, squares(high))
    d = f64x2.add(d, squares(lastTwo(high)))
    at += 32
  }
  if (left > 0) {
    const low = readPart(at, left)
    const high = readPart(at + 16, left > 16 ? left - 16 : 0)
    a = f64x2.add(a, squares(low))
    b = f64x2.add(b, squares(lastTwo(low)))
    c = f64x2.add(c, squares(high))
    d = f64x2.add(d, squares(lastTwo(high)))
  }
  const ab = f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1) + (f64x2.extract_lane(b, 0) + f64x2.extract_lane(b, 1))
  const cd = f64x2.extract_lane(c, 0) + f64x2.extract_lane(c, 1) + (f64x2.extract_lane(d, 0) + f64x2.extract_lane(d, 1))
  return ab + cd
}

export function sumSquares(out: usize, values: usize, length: u32): void {
  let left = bytesOf(length)
  while (left > 0) {
    const bytes = min(left, BLOCK_BYTES)
    store<f64>(out, blockSum(values, bytes))
    out += 8
    values += bytes
    left -= bytes
  }
}
