/** A size for people, in units of 10^6 bytes: `93 MB`, `0.4 MB`. */
export function megabytes(bytes: number): string {
  const value = bytes / 1e6
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} MB`
}
