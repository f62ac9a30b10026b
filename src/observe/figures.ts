/** Numbers as people read them. One way of writing them, whatever the machine's locale. */

/** `12,345` */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Four significant digits, without an exponent where that is short: `0.1235`, `2.301`, `1.2e-7`. */
export function decimal(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(1)
  return Math.abs(value) >= 1000 ? count(value) : value.toFixed(4)
}

/** `97.53 %`, of a part of 1. */
export function percent(part: number, digits = 2): string {
  return `${(part * 100).toFixed(digits)} %`
}

/** `0:07`, `12:30`, `1:02:03` */
export function clockTime(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  const rest = String(whole % 60).padStart(2, '0')
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`
}

/** `0.38 s`, `38.2 s`, `12:30` from two minutes on. */
export function duration(seconds: number): string {
  if (seconds >= 120) return clockTime(seconds)
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`
}

/** `1 restart`, `2 restarts` */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}
