import { bytesOf, read, wholeVectors, write } from './lanes'

@inline
function ftrlAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  accumulator: usize,
  linear: usize,
  rate: v128,
  l1: v128,
  l2Twice: v128,
  shrink: v128,
): void {
  const g = read<T>(gradient)
  const w = read<T>(from)
  const a = read<T>(accumulator)
  const b = f32x4.add(a, f32x4.mul(g, g))
  const root = f32x4.sqrt(b)
  const turn = f32x4.mul(f32x4.div(f32x4.sub(root, f32x4.sqrt(a)), rate), w)
  const z = f32x4.add(read<T>(linear), f32x4.sub(f32x4.add(g, f32x4.mul(shrink, w)), turn))
  write<T>(accumulator, b)
  write<T>(linear, z)
  const clipped = f32x4.min(f32x4.max(z, f32x4.neg(l1)), l1)
  write<T>(to, f32x4.div(f32x4.sub(clipped, z), f32x4.add(f32x4.div(root, rate), l2Twice)))
}

export function ftrl(
  from: usize,
  to: usize,
  gradient: usize,
  accumulator: usize,
  linear: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  l1Scalar: f32,
  l2TwiceScalar: f32,
  shrinkScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const l1 = f32x4.splat(l1Scalar)
  const l2Twice = f32x4.splat(l2TwiceScalar)
  const shrink = f32x4.splat(shrinkScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) ftrlAt<v128>(from + i, to + i, gradient + i, accumulator + i, linear + i, rate, l1, l2Twice, shrink)
  for (; i < bytes; i += 4) ftrlAt<f32>(from + i, to + i, gradient + i, accumulator + i, linear + i, rate, l1, l2Twice, shrink)
}
