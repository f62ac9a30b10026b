import { bytesOf, read, wholeVectors, write } from './lanes'

@inline
function adamAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  first: usize,
  second: usize,
  alpha: v128,
  gain1: v128,
  gain2: v128,
  epsilon: v128,
): void {
  const g = read<T>(gradient)
  const m0 = read<T>(first)
  const v0 = read<T>(second)
  const m = f32x4.add(m0, f32x4.mul(f32x4.sub(g, m0), gain1))
  const v = f32x4.add(v0, f32x4.mul(f32x4.sub(f32x4.mul(g, g), v0), gain2))
  write<T>(first, m)
  write<T>(second, v)
  const move = f32x4.div(f32x4.mul(m, alpha), f32x4.add(f32x4.sqrt(v), epsilon))
  write<T>(to, f32x4.sub(read<T>(from), move))
}

export function adam(
  from: usize,
  to: usize,
  gradient: usize,
  first: usize,
  second: usize,
  _2: usize,
  length: u32,
  alphaScalar: f32,
  gain1Scalar: f32,
  gain2Scalar: f32,
  epsilonScalar: f32,
): void {
  const alpha = f32x4.splat(alphaScalar)
  const gain1 = f32x4.splat(gain1Scalar)
  const gain2 = f32x4.splat(gain2Scalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) adamAt<v128>(from + i, to + i, gradient + i, first + i, second + i, alpha, gain1, gain2, epsilon)
  for (; i < bytes; i += 4) adamAt<f32>(from + i, to + i, gradient + i, first + i, second + i, alpha, gain1, gain2, epsilon)
}

@inline
function amsgradAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  first: usize,
  second: usize,
  greatest: usize,
  alpha: v128,
  gain1: v128,
  gain2: v128,
  epsilon: v128,
): void {
  const g = read<T>(gradient)
  const m0 = read<T>(first)
  const v0 = read<T>(second)
  const m = f32x4.add(m0, f32x4.mul(f32x4.sub(g, m0), gain1))
  const v = f32x4.add(v0, f32x4.mul(f32x4.sub(f32x4.mul(g, g), v0), gain2))
  write<T>(first, m)
  write<T>(second, v)
  const most = f32x4.max(read<T>(greatest), v)
  write<T>(greatest, most)
  const move = f32x4.div(f32x4.mul(m, alpha), f32x4.add(f32x4.sqrt(most), epsilon))
  write<T>(to, f32x4.sub(read<T>(from), move))
}

export function amsgrad(
  from: usize,
  to: usize,
  gradient: usize,
  first: usize,
  second: usize,
  greatest: usize,
  length: u32,
  alphaScalar: f32,
  gain1Scalar: f32,
  gain2Scalar: f32,
  epsilonScalar: f32,
): void {
  const alpha = f32x4.splat(alphaScalar)
  const gain1 = f32x4.splat(gain1Scalar)
  const gain2 = f32x4.splat(gain2Scalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) amsgradAt<v128>(from + i, to + i, gradient + i, first + i, second + i, greatest + i, alpha, gain1, gain2, epsilon)
  for (; i < bytes; i += 4) amsgradAt<f32>(from + i, to + i, gradient + i, first + i, second + i, greatest + i, alpha, gain1, gain2, epsilon)
}
