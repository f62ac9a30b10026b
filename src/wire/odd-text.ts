/// <reference lib="es2024.string" />

const BYTE_ORDER_MARK = 0xfeff

/** A shorter string keeps its byte order mark: msgpackr takes it away only beyond 64 bytes. */
const MIN_MARKED_LENGTH = 22

/** Text that would not arrive as it is: lone surrogates, which UTF-8 lacks; a byte order mark before a longer string. */
export function isOddText(text: string): boolean {
  return !text.isWellFormed() || (text.length >= MIN_MARKED_LENGTH && text.charCodeAt(0) === BYTE_ORDER_MARK)
}

/** The nearest text that does arrive. */
export function withoutOddities(text: string): string {
  return isOddText(text) ? text.toWellFormed().replace(/^\uFEFF+/, '') : text
}

/**
 * Is there odd text in these values? Asking each string and key on its way out costs more than all other checks
 * together, so the packed bytes are searched first for what msgpackr makes of such text: a surrogate in three bytes
 * from 0xed 0xa0 on, U+FFFD (0xef 0xbf), or the byte order mark (0xef 0xbb). Only on a hit, which may be part of a
 * number, are the values themselves asked.
 */
export function holdsOddText(packed: Buffer, values: readonly unknown[]): boolean {
  const suspect = holdsPair(packed, 0xed, 0xa0) || holdsPair(packed, 0xef, 0xbb)
  return suspect && values.some(holdsOddString)
}

const LAST_CONTINUATION = 0xbf

function holdsPair(bytes: Buffer, lead: number, fromNext: number): boolean {
  for (let at = bytes.indexOf(lead); at >= 0; at = bytes.indexOf(lead, at + 1)) {
    const next = bytes[at + 1]
    if (next !== undefined && next >= fromNext && next <= LAST_CONTINUATION) return true
  }
  return false
}

function holdsOddString(value: unknown): boolean {
  if (typeof value === 'string') return isOddText(value)
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(holdsOddString)
  return Object.entries(value).some(([key, part]) => isOddText(key) || holdsOddString(part))
}
