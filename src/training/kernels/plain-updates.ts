import type { UpdateKernel } from '../update-rule.js'
import { power } from '../elementary.js'

/**
 * Reads `from` and `gradient`, writes `to`, reads and writes `slots`; all of one length, none overlapping except
 * that `to` may be `from`.
 */
export type PlainUpdate = (
  from: Float32Array,
  to: Float32Array,
  gradient: Float32Array,
  slots: readonly Float32Array[],
  scalars: readonly number[],
) => void

const f = Math.fround

/** The reference of every update: what the SIMD kernels must equal to the bit. */
export const PLAIN_UPDATES: Readonly<Record<UpdateKernel, PlainUpdate>> = {
  sgd(from, to, gradient, _, scalars) {
    const rate = scalars[0]!
    for (let i = 0; i < to.length; i++) to[i] = f(from[i]! - f(rate * gradient[i]!))
  },

  momentum(from, to, gradient, slots, scalars) {
    const [rate, keep] = scalars as [number, number]
    const velocity = slots[0]!
    for (let i = 0; i < to.length; i++) {
      const v = f(f(keep * velocity[i]!) - f(rate * gradient[i]!))
      velocity[i] = v
      to[i] = f(from[i]! + v)
    }
  },

  nesterov(from, to, gradient, slots, scalars) {
    const [rate, keep] = scalars as [number, number]
    const velocity = slots[0]!
    for (let i = 0; i < to.length; i++) {
      const step = f(rate * gradient[i]!)
      const v = f(f(keep * velocity[i]!) - step)
      velocity[i] = v
      to[i] = f(from[i]! + f(f(keep * v) - step))
    }
  },

  adagrad(from, to, gradient, slots, scalars) {
    const [rate, epsilon] = scalars as [number, number]
    const accumulator = slots[0]!
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const a = f(accumulator[i]! + f(g * g))
      accumulator[i] = a
      to[i] = f(from[i]! - f(f(rate * g) / f(Math.sqrt(f(a + epsilon)))))
    }
  },

  rmsprop(from, to, gradient, slots, scalars) {
    const [rate, rho, gain, epsilon] = scalars as [number, number, number, number]
    const square = slots[0]!
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const s = f(f(rho * square[i]!) + f(gain * f(g * g)))
      square[i] = s
      to[i] = f(from[i]! - f(f(rate * g) / f(Math.sqrt(f(s + epsilon)))))
    }
  },

  rmspropMomentum(from, to, gradient, slots, scalars) {
    const [rate, rho, gain, epsilon, keep] = scalars as [number, number, number, number, number]
    const [square, velocity] = slots as [Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const s = f(f(rho * square[i]!) + f(gain * f(g * g)))
      square[i] = s
      const v = f(f(keep * velocity[i]!) + f(f(rate * g) / f(Math.sqrt(f(s + epsilon)))))
      velocity[i] = v
      to[i] = f(from[i]! - v)
    }
  },

  rmspropCentered(from, to, gradient, slots, scalars) {
    const [rate, rho, gain, epsilon] = scalars as [number, number, number, number]
    const [square, mean] = slots as [Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const s = f(f(rho * square[i]!) + f(gain * f(g * g)))
      const c = f(f(rho * mean[i]!) + f(gain * g))
      square[i] = s
      mean[i] = c
      to[i] = f(from[i]! - f(f(rate * g) / f(Math.sqrt(f(f(s - f(c * c)) + epsilon)))))
    }
  },

  rmspropCenteredMomentum(from, to, gradient, slots, scalars) {
    const [rate, rho, gain, epsilon, keep] = scalars as [number, number, number, number, number]
    const [square, mean, velocity] = slots as [Float32Array, Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const s = f(f(rho * square[i]!) + f(gain * f(g * g)))
      const c = f(f(rho * mean[i]!) + f(gain * g))
      square[i] = s
      mean[i] = c
      const move = f(f(rate * g) / f(Math.sqrt(f(f(s - f(c * c)) + epsilon))))
      const v = f(f(keep * velocity[i]!) + move)
      velocity[i] = v
      to[i] = f(from[i]! - v)
    }
  },

  adam(from, to, gradient, slots, scalars) {
    const [alpha, gain1, gain2, epsilon] = scalars as [number, number, number, number]
    const [first, second] = slots as [Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const m = f(first[i]! + f(f(g - first[i]!) * gain1))
      const v = f(second[i]! + f(f(f(g * g) - second[i]!) * gain2))
      first[i] = m
      second[i] = v
      to[i] = f(from[i]! - f(f(m * alpha) / f(f(Math.sqrt(v)) + epsilon)))
    }
  },

  amsgrad(from, to, gradient, slots, scalars) {
    const [alpha, gain1, gain2, epsilon] = scalars as [number, number, number, number]
    const [first, second, greatest] = slots as [Float32Array, Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const m = f(first[i]! + f(f(g - first[i]!) * gain1))
      const v = f(second[i]! + f(f(f(g * g) - second[i]!) * gain2))
      const most = Math.max(greatest[i]!, v)
      first[i] = m
      second[i] = v
      greatest[i] = most
      to[i] = f(from[i]! - f(f(m * alpha) / f(f(Math.sqrt(most)) + epsilon)))
    }
  },

  ftrl(from, to, gradient, slots, scalars) {
    const [rate, l1, l2Twice, shrink] = scalars as [number, number, number, number]
    const [accumulator, linear] = slots as [Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const w = from[i]!
      const a = accumulator[i]!
      const b = f(a + f(g * g))
      const root = f(Math.sqrt(b))
      const turn = f(f(f(root - f(Math.sqrt(a))) / rate) * w)
      const z = f(linear[i]! + f(f(g + f(shrink * w)) - turn))
      accumulator[i] = b
      linear[i] = z
      to[i] = f(f(Math.min(Math.max(z, -l1), l1) - z) / f(f(root / rate) + l2Twice))
    }
  },

  ftrlPower(from, to, gradient, slots, scalars) {
    const [rate, l1, l2Twice, shrink, exponent] = scalars as [number, number, number, number, number]
    const [accumulator, linear] = slots as [Float32Array, Float32Array]
    for (let i = 0; i < to.length; i++) {
      const g = gradient[i]!
      const w = from[i]!
      const a = accumulator[i]!
      const b = f(a + f(g * g))
      const raised = f(power(b, exponent))
      const turn = f(f(f(raised - f(power(a, exponent))) / rate) * w)
      const z = f(linear[i]! + f(f(g + f(shrink * w)) - turn))
      accumulator[i] = b
      linear[i] = z
      to[i] = f(f(Math.min(Math.max(z, -l1), l1) - z) / f(f(raised / rate) + l2Twice))
    }
  },
}
