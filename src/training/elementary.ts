// Elementary functions of float64 that give the same bits on every engine: they are made of + - * / alone, each of
// which is exact to the last bit everywhere, while `Math.pow`, `exp`, `log` and `cos` may differ in theirs. The
// approximations are those of fdlibm (Sun Microsystems, 1993), each good to less than one unit in the last place.

import { integerPower } from './integer-power.js'

/** ln 2 in two parts: multiples of the first up to 2^11 are exact. */
const LN2_HIGH = 6.9314718036912381649e-1
const LN2_LOW = 1.90821492927058770002e-10

/** e^x beyond these is Infinity and 0. */
const MAX_EXPONENT = 709.782712893383973096
const MIN_EXPONENT = -745.13321910194110842

/** e^x. */
export function exponential(x: number): number {
  if (x > MAX_EXPONENT) return Infinity
  if (x < MIN_EXPONENT) return 0
  if (Number.isNaN(x)) return x
  // x = k ln 2 + r, |r| <= ln 2 / 2
  const k = Math.floor(x / (LN2_HIGH + LN2_LOW) + 0.5)
  const high = x - k * LN2_HIGH
  const low = k * LN2_LOW
  const r = high - low
  const t = r * r
  const c =
    r -
    t *
      (1.66666666666666019037e-1 +
        t *
          (-2.77777777770155933842e-3 +
            t *
              (6.61375632143793436117e-5 + t * (-1.6533902205465251539e-6 + t * 4.13813679705723846039e-8))))
  const y = 1 - (low - (r * c) / (2 - c) - high)
  return scaleByTwo(y, k)
}

/** The natural logarithm; NaN below 0. */
export function logarithm(x: number): number {
  if (Number.isNaN(x) || x < 0) return Number.NaN
  if (x === 0) return -Infinity
  if (x === Infinity) return x
  // x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2)
  const { mantissa, exponent: k } = split(x)
  const f = mantissa - 1
  const s = f / (2 + f)
  const z = s * s
  const w = z * z
  const t1 = w * (3.999999999940941908e-1 + w * (2.222219843214978396e-1 + w * 1.531383769920937332e-1))
  const t2 =
    z *
    (6.66666666666673513e-1 +
      w * (2.857142874366239149e-1 + w * (1.818357216161805012e-1 + w * 1.479819860511658591e-1)))
  const half = 0.5 * f * f
  return k * LN2_HIGH - (half - (s * (half + t1 + t2) + k * LN2_LOW) - f)
}

/** base ^ exponent for a base of at least 0; NaN unless the exponent is finite. */
export function power(base: number, exponent: number): number {
  if (!Number.isFinite(exponent)) return Number.NaN
  if (exponent < 0) return 1 / power(base, -exponent)
  // The whole part by multiplication, so that no large logarithm loses digits in the product.
  const whole = Math.floor(exponent)
  const rest = exponent - whole
  const result = integerPower(base, whole)
  return rest === 0 ? result : result * exponential(rest * logarithm(base))
}

/** cos(pi x) for x in [0, 1]. */
export function cosinePi(x: number): number {
  if (x > 0.5) return -cosinePi(1 - x)
  return x > 0.25 ? smallSine(Math.PI * (0.5 - x)) : smallCosine(Math.PI * x)
}

/** For |x| <= pi / 4. */
function smallSine(x: number): number {
  const z = x * x
  const r =
    8.33333333332248946124e-3 +
    z *
      (-1.98412698298579493134e-4 +
        z * (2.75573137070700676789e-6 + z * (-2.50507602534068634195e-8 + z * 1.58969099521155010221e-10)))
  return x + z * x * (-1.66666666666666324348e-1 + z * r)
}

/** For |x| <= pi / 4. */
function smallCosine(x: number): number {
  const z = x * x
  const r =
    4.16666666666666019037e-2 +
    z *
      (-1.38888888888741095749e-3 +
        z *
          (2.48015872894767294178e-5 +
            z *
              (-2.75573143513906633035e-7 +
                z * (2.0875723212981748279e-9 + z * -1.13596475577881948265e-11))))
  return 1 - (0.5 * z - z * z * r)
}

/** y * 2^k: in two steps where 2^k itself is out of range. */
function scaleByTwo(y: number, k: number): number {
  if (k > 1023) return y * 2 * twoTo(k - 1)
  return k < -1022 ? y * twoTo(k + 1000) * twoTo(-1000) : y * twoTo(k)
}

/** Exact for |k| <= 1023. */
function twoTo(k: number): number {
  return k < 0 ? 1 / integerPower(2, -k) : integerPower(2, k)
}

/** x = mantissa * 2^exponent with a mantissa between sqrt(1/2) and sqrt(2); every step is exact. */
function split(x: number): { mantissa: number; exponent: number } {
  let mantissa = x
  let exponent = 0
  for (let bits = 512; bits >= 1; bits /= 2) {
    const factor = integerPower(2, bits)
    while (mantissa >= factor) {
      mantissa /= factor
      exponent += bits
    }
    while (mantissa < 1 / factor) {
      mantissa *= factor
      exponent -= bits
    }
  }
  if (mantissa > Math.SQRT2) return { mantissa: mantissa / 2, exponent: exponent + 1 }
  return mantissa < Math.SQRT1_2 ? { mantissa: mantissa * 2, exponent: exponent - 1 } : { mantissa, exponent }
}
