import { bytesOf, read, wholeVectors, write } from './lanes'

@inline
function adagradAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  accumulator: usize,
  rate: v128,
  epsilon: v128,
): void {
  const g = read<T>(gradient)
  const a = f32x4.add(read<T>(accumulator), f32x4.mul(g, g))
  write<T>(accumulator, a)
  const move = f32x4.div(f32x4.mul(rate, g), f32x4.sqrt(f32x4.add(a, epsilon)))
  write<T>(to, f32x4.sub(read<T>(from), move))
}

export function adagrad(
  from: usize,
  to: usize,
  gradient: usize,
  accumulator: usize,
  _1: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  epsilonScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) adagradAt<v128>(from + i, to + i, gradient + i, accumulator + i, rate, epsilon)
  for (; i < bytes; i += 4) adagradAt<f32>(from + i, to + i, gradient + i, accumulator + i, rate, epsilon)
}

@inline
function rmspropAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  rate: v128,
  rho: v128,
  gain: v128,
  epsilon: v128,
): void {
  const g = read<T>(gradient)
  const s = f32x4.add(f32x4.mul(rho, read<T>(square)), f32x4.mul(gain, f32x4.mul(g, g)))
  write<T>(square, s)
  const move = f32x4.div(f32x4.mul(rate, g), f32x4.sqrt(f32x4.add(s, epsilon)))
  write<T>(to, f32x4.sub(read<T>(from), move))
}

export function rmsprop(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  _1: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  rhoScalar: f32,
  gainScalar: f32,
  epsilonScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const rho = f32x4.splat(rhoScalar)
  const gain = f32x4.splat(gainScalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) rmspropAt<v128>(from + i, to + i, gradient + i, square + i, rate, rho, gain, epsilon)
  for (; i < bytes; i += 4) rmspropAt<f32>(from + i, to + i, gradient + i, square + i, rate, rho, gain, epsilon)
}

@inline
function rmspropMomentumAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  velocity: usize,
  rate: v128,
  rho: v128,
  gain: v128,
  epsilon: v128,
  keep: v128,
): void {
  const g = read<T>(gradient)
  const s = f32x4.add(f32x4.mul(rho, read<T>(square)), f32x4.mul(gain, f32x4.mul(g, g)))
  write<T>(square, s)
  const move = f32x4.div(f32x4.mul(rate, g), f32x4.sqrt(f32x4.add(s, epsilon)))
  const v = f32x4.add(f32x4.mul(keep, read<T>(velocity)), move)
  write<T>(velocity, v)
  write<T>(to, f32x4.sub(read<T>(from), v))
}

export function rmspropMomentum(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  velocity: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  rhoScalar: f32,
  gainScalar: f32,
  epsilonScalar: f32,
  keepScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const rho = f32x4.splat(rhoScalar)
  const gain = f32x4.splat(gainScalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const keep = f32x4.splat(keepScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) rmspropMomentumAt<v128>(from + i, to + i, gradient + i, square + i, velocity + i, rate, rho, gain, epsilon, keep)
  for (; i < bytes; i += 4) rmspropMomentumAt<f32>(from + i, to + i, gradient + i, square + i, velocity + i, rate, rho, gain, epsilon, keep)
}

@inline
function rmspropCenteredAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  mean: usize,
  rate: v128,
  rho: v128,
  gain: v128,
  epsilon: v128,
): void {
  const g = read<T>(gradient)
  const s = f32x4.add(f32x4.mul(rho, read<T>(square)), f32x4.mul(gain, f32x4.mul(g, g)))
  write<T>(square, s)
  const c = f32x4.add(f32x4.mul(rho, read<T>(mean)), f32x4.mul(gain, g))
  write<T>(mean, c)
  const variance = f32x4.sub(s, f32x4.mul(c, c))
  const move = f32x4.div(f32x4.mul(rate, g), f32x4.sqrt(f32x4.add(variance, epsilon)))
  write<T>(to, f32x4.sub(read<T>(from), move))
}

export function rmspropCentered(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  mean: usize,
  _2: usize,
  length: u32,
  rateScalar: f32,
  rhoScalar: f32,
  gainScalar: f32,
  epsilonScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const rho = f32x4.splat(rhoScalar)
  const gain = f32x4.splat(gainScalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) rmspropCenteredAt<v128>(from + i, to + i, gradient + i, square + i, mean + i, rate, rho, gain, epsilon)
  for (; i < bytes; i += 4) rmspropCenteredAt<f32>(from + i, to + i, gradient + i, square + i, mean + i, rate, rho, gain, epsilon)
}

@inline
function rmspropCenteredMomentumAt<T>(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  mean: usize,
  velocity: usize,
  rate: v128,
  rho: v128,
  gain: v128,
  epsilon: v128,
  keep: v128,
): void {
  const g = read<T>(gradient)
  const s = f32x4.add(f32x4.mul(rho, read<T>(square)), f32x4.mul(gain, f32x4.mul(g, g)))
  write<T>(square, s)
  const c = f32x4.add(f32x4.mul(rho, read<T>(mean)), f32x4.mul(gain, g))
  write<T>(mean, c)
  const variance = f32x4.sub(s, f32x4.mul(c, c))
  const move = f32x4.div(f32x4.mul(rate, g), f32x4.sqrt(f32x4.add(variance, epsilon)))
  const v = f32x4.add(f32x4.mul(keep, read<T>(velocity)), move)
  write<T>(velocity, v)
  write<T>(to, f32x4.sub(read<T>(from), v))
}

export function rmspropCenteredMomentum(
  from: usize,
  to: usize,
  gradient: usize,
  square: usize,
  mean: usize,
  velocity: usize,
  length: u32,
  rateScalar: f32,
  rhoScalar: f32,
  gainScalar: f32,
  epsilonScalar: f32,
  keepScalar: f32,
): void {
  const rate = f32x4.splat(rateScalar)
  const rho = f32x4.splat(rhoScalar)
  const gain = f32x4.splat(gainScalar)
  const epsilon = f32x4.splat(epsilonScalar)
  const keep = f32x4.splat(keepScalar)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) rmspropCenteredMomentumAt<v128>(from + i, to + i, gradient + i, square + i, mean + i, velocity + i, rate, rho, gain, epsilon, keep)
  for (; i < bytes; i += 4) rmspropCenteredMomentumAt<f32>(from + i, to + i, gradient + i, square + i, mean + i, velocity + i, rate, rho, gain, epsilon, keep)
}
