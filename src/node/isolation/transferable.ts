/** Binary data of at least this length is handed over, or goes its own way, rather than copied into a message. */
export const BULK_BYTES = 64 * 1024

/** The buffers of a message's body that are worth handing over: nobody here uses them afterwards. */
export function transferable(body: unknown): ArrayBuffer[] | undefined {
  const frame: unknown = Array.isArray(body) ? body[0] : body
  return frame instanceof Uint8Array && frame.byteLength >= BULK_BYTES && frame.buffer instanceof ArrayBuffer
    ? [frame.buffer]
    : undefined
}
