/**
 * base^exponent by squaring, exponent a whole number of at least 0. `Math.pow` may differ between engines in the
 * last bit; products of float64 do not.
 */
export function integerPower(base: number, exponent: number): number {
  let result = 1
  let square = base
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square
    square *= square
  }
  return result
}
