import { createWriteStream } from 'node:fs'
import type { Readable } from 'node:stream'

/** So much of a log is kept at hand for an error message. */
const KEPT_CHARACTERS = 8_000

/** Follows what an engine writes: all of it into a file, the end at hand. */
export class LogTail {
  readonly file: string
  #kept = ''

  /** @param file is appended to: an engine that is started again goes on in the same log */
  constructor(stream: Readable, file: string) {
    this.file = file
    const out = createWriteStream(file, { flags: 'a' })
    // a log that cannot be written must not end the engine; its end stays at hand
    out.on('error', () => undefined)
    stream.pipe(out)
    stream.setEncoding('utf8').on('data', (text: string) => {
      this.#kept = (this.#kept + text).slice(-KEPT_CHARACTERS)
    })
  }

  /** The last lines. */
  tail(lines = 20): string {
    return this.#kept.trimEnd().split('\n').slice(-lines).join('\n')
  }
}
