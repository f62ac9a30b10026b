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

/** Four elements, of which those at `end` and behind are 0. */
@inline
function readUpTo(at: usize, end: usize): v128 {
  if (at + 16 <= end) return v128.load(at)
  let values = f32x4.splat(0)
  if (at < end) values = f32x4.replace_lane(values, 0, load<f32>(at))
  if (at + 4 < end) values = f32x4.replace_lane(values, 1, load<f32>(at + 4))
  if (at + 8 < end) values = f32x4.replace_lane(values, 2, load<f32>(at + 8))
  return values
}

/** Eight lanes of float64; squares are never below 0, so adding 0 for what is not there changes no bit. */
function blockSum(from: usize, end: usize): f64 {
  let a = f64x2.splat(0)
  let b = a
  let c = a
  let d = a
  let at = from
  for (; at + 32 <= end; at += 32) {
    const low = v128.load(at)
    const high = v128.load(at, 16)
    a = f64x2.add(a, squares(low))
    b = f64x2.add(b, squares(lastTwo(low)))
    c = f64x2.add(c, squares(high))
    d = f64x2.add(d, squares(lastTwo(high)))
  }
  if (at < end) {
    const low = readUpTo(at, end)
    const high = readUpTo(at + 16, end)
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
  const end = values + bytesOf(length)
  for (; values < end; values += BLOCK_BYTES) {
    store<f64>(out, blockSum(values, min(end, values + BLOCK_BYTES)))
    out += 8
  }
}
