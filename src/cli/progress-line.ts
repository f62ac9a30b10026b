import type { Clock } from '../determinism/index.js'
import { megabytes, type InstallProgress } from '../engines/index.js'
import type { Output } from '../observe/index.js'

/** A terminal is written to so often, a file for each new thing that is done. */
const REDRAW_MS = 100

/** What an installation is doing: one line that changes on a terminal, one line a thing done elsewhere. */
export class ProgressLine {
  readonly #out: Output
  readonly #clock: Clock
  #doing = ''
  #drawnAt = Number.NEGATIVE_INFINITY
  #drawn = false

  constructor(out: Output, clock: Clock) {
    this.#out = out
    this.#clock = clock
  }

  show(progress: InstallProgress): void {
    const isNew = progress.doing !== this.#doing
    this.#doing = progress.doing
    if (!this.#out.isTerminal) {
      if (isNew) this.#out.write(`  ${progress.doing}\n`)
      return
    }
    const now = this.#clock.monotonic()
    if (!isNew && now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    this.#drawn = true
    this.#out.write(`\r\u001b[K${`  ${lineOf(progress)}`.slice(0, this.#out.columns - 1)}`)
  }

  /** Takes the line away, so that what follows stands in its place. */
  clear(): void {
    if (this.#drawn) this.#out.write('\r\u001b[K')
    this.#drawn = false
  }
}

function lineOf({ doing, doneBytes, totalBytes }: InstallProgress): string {
  if (doneBytes === undefined) return doing
  if (totalBytes === undefined) return `${doing}: ${megabytes(doneBytes)}`
  const percent = Math.floor((100 * doneBytes) / totalBytes)
  return `${doing}: ${megabytes(doneBytes)} of ${megabytes(totalBytes)}, ${percent} %`
}
