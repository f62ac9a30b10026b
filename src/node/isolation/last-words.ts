/** Bytes that are kept: the report of an aborting V8 with its native stack fits. */
const KEPT_BYTES = 4 * 1024

/** The end of what a process wrote to its standard error: often the only thing that says why it crashed. */
export class LastWords {
  #kept: Buffer = Buffer.alloc(0)

  add(data: Buffer): void {
    const all = Buffer.concat([this.#kept, data])
    this.#kept = all.subarray(Math.max(0, all.byteLength - KEPT_BYTES))
  }

  text(): string {
    return this.#kept.toString('utf8').trim()
  }
}
