import { bytesOf, read, wholeVectors, write } from './lanes'

@inline
function weighed<T>(values: usize, weight: v128): v128 {
  return f32x4.mul(read<T>(values), weight)
}

@inline
function addAt<T>(out: usize, a: usize, b: usize): void {
  write<T>(out, f32x4.add(read<T>(a), read<T>(b)))
}

/** out = a + b; `out` may be one of them. */
export function add(out: usize, a: usize, b: usize, length: u32): void {
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) addAt<v128>(out + i, a + i, b + i)
  for (; i < bytes; i += 4) addAt<f32>(out + i, a + i, b + i)
}

@inline
function weigh2At<T>(out: usize, a: usize, wa: v128, b: usize, wb: v128): void {
  write<T>(out, f32x4.add(weighed<T>(a, wa), weighed<T>(b, wb)))
}

/** out = a * wa + b * wb */
export function weigh2(out: usize, a: usize, wa: f32, b: usize, wb: f32, length: u32): void {
  const xa = f32x4.splat(wa)
  const xb = f32x4.splat(wb)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) weigh2At<v128>(out + i, a + i, xa, b + i, xb)
  for (; i < bytes; i += 4) weigh2At<f32>(out + i, a + i, xa, b + i, xb)
}

@inline
function weigh3At<T>(out: usize, a: usize, wa: v128, b: usize, wb: v128, c: usize, wc: v128): void {
  write<T>(out, f32x4.add(f32x4.add(weighed<T>(a, wa), weighed<T>(b, wb)), weighed<T>(c, wc)))
}

/** out = (a * wa + b * wb) + c * wc */
export function weigh3(
  out: usize,
  a: usize,
  wa: f32,
  b: usize,
  wb: f32,
  c: usize,
  wc: f32,
  length: u32,
): void {
  const xa = f32x4.splat(wa)
  const xb = f32x4.splat(wb)
  const xc = f32x4.splat(wc)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) weigh3At<v128>(out + i, a + i, xa, b + i, xb, c + i, xc)
  for (; i < bytes; i += 4) weigh3At<f32>(out + i, a + i, xa, b + i, xb, c + i, xc)
}

@inline
function weigh4At<T>(
  out: usize,
  a: usize,
  wa: v128,
  b: usize,
  wb: v128,
  c: usize,
  wc: v128,
  d: usize,
  wd: v128,
): void {
  const ab = f32x4.add(weighed<T>(a, wa), weighed<T>(b, wb))
  const cd = f32x4.add(weighed<T>(c, wc), weighed<T>(d, wd))
  write<T>(out, f32x4.add(ab, cd))
}

/** out = (a * wa + b * wb) + (c * wc + d * wd) */
export function weigh4(
  out: usize,
  a: usize,
  wa: f32,
  b: usize,
  wb: f32,
  c: usize,
  wc: f32,
  d: usize,
  wd: f32,
  length: u32,
): void {
  const xa = f32x4.splat(wa)
  const xb = f32x4.splat(wb)
  const xc = f32x4.splat(wc)
  const xd = f32x4.splat(wd)
  const bytes = bytesOf(length)
  const whole = wholeVectors(bytes)
  let i: usize = 0
  for (; i < whole; i += 16) weigh4At<v128>(out + i, a + i, xa, b + i, xb, c + i, xc, d + i, xd)
  for (; i < bytes; i += 4) weigh4At<f32>(out + i, a + i, xa, b + i, xb, c + i, xc, d + i, xd)
}
