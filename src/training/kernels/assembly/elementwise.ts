import { bytesOf, read, wholeVectors, write } from './lanes'

@inline
function scaleAt<T>(out: usize, values: usize, factor: v128): void {
  write<T>(out, f32x4.mul(read<T>(values), factor))
}

export function scale(out: usize, values: usize, factor: f32, length: u32): void {
  const by = f32x4.splat(factor)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) scaleAt<v128>(out + i, values + i, by)
  for (; i < bytes; i += 4) scaleAt<f32>(out + i, values + i, by)
}

@inline
function clipAt<T>(out: usize, values: usize, least: v128, most: v128): void {
  write<T>(out, f32x4.min(f32x4.max(read<T>(values), least), most))
}

export function clip(out: usize, values: usize, limit: f32, length: u32): void {
  const most = f32x4.splat(limit)
  const least = f32x4.neg(most)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) clipAt<v128>(out + i, values + i, least, most)
  for (; i < bytes; i += 4) clipAt<f32>(out + i, values + i, least, most)
}

@inline
function decayAt<T>(out: usize, values: usize, share: v128, rate: v128): void {
  const value = read<T>(values)
  write<T>(out, f32x4.sub(value, f32x4.mul(f32x4.mul(value, share), rate)))
}

export function decay(out: usize, values: usize, weightDecay: f32, learningRate: f32, length: u32): void {
  const share = f32x4.splat(weightDecay)
  const rate = f32x4.splat(learningRate)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) decayAt<v128>(out + i, values + i, share, rate)
  for (; i < bytes; i += 4) decayAt<f32>(out + i, values + i, share, rate)
}
