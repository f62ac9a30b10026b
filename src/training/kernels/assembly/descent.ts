import { bytesOf, read, wholeVectors, write } from './lanes'

@inline
function sgdAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  rate: v128,
): void {
  write<T>(to, f32x4.sub(read<T>(from), f32x4.mul(rate, read<T>(gradient))))
}

export function sgd(
  from: usize,
  to: usize,
  gradient: usize,
  _0: usize,
  _1: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) sgdAt<v128>(from + i, to + i, gradient + i, rate)
  for (; i < bytes; i += 4) sgdAt<f32>(from + i, to + i, gradient + i, rate)
}

@inline
function momentumAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  velocity: usize,
  rate: v128,
  keep: v128,
): void {
  const v = f32x4.sub(f32x4.mul(keep, read<T>(velocity)), f32x4.mul(rate, read<T>(gradient)))
  write<T>(velocity, v)
  write<T>(to, f32x4.add(read<T>(from), v))
}

export function momentum(
  from: usize,
  to: usize,
  gradient: usize,
  velocity: usize,
  _1: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  keepScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const keep = f32x4.splat(keepScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) momentumAt<v128>(from + i, to + i, gradient + i, velocity + i, rate, keep)
  for (; i < bytes; i += 4) momentumAt<f32>(from + i, to + i, gradient + i, velocity + i, rate, keep)
}

@inline
function nesterovAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  velocity: usize,
  rate: v128,
  keep: v128,
): void {
  const step = f32x4.mul(rate, read<T>(gradient))
  const v = f32x4.sub(f32x4.mul(keep, read<T>(velocity)), step)
  write<T>(velocity, v)
  write<T>(to, f32x4.add(read<T>(from), f32x4.sub(f32x4.mul(keep, v), step)))
}

export function nesterov(
  from: usize,
  to: usize,
  gradient: usize,
  velocity: usize,
  _1: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  keepScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const keep = f32x4.splat(keepScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) nesterovAt<v128>(from + i, to + i, gradient + i, velocity + i, rate, keep)
  for (; i < bytes; i += 4) nesterovAt<f32>(from + i, to + i, gradient + i, velocity + i, rate, keep)
}
