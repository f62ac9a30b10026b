import type { Clock } from '../determinism/index.js'
import type { JobEvent } from '../program/events.js'
import { happening, statusLine } from './job-text.js'
import type { JobView } from './job-view.js'
import type { Output } from './output.js'
import { reportLines } from './report.js'
import { RunProgress } from './run-progress.js'

/** A file or a pipe gets a status line this often. */
export const DEFAULT_STATUS_EVERY_MS = 2_000

/** Lines of plain text that stay: for pipes, files and logs. What happens is told at once, the status now and then. */
export class PlainView implements JobView {
  readonly #output: Output
  readonly #clock: Clock
  readonly #statusEveryMs: number
  readonly #progress = new RunProgress()
  #lastStatusMs: number

  constructor(output: Output, clock: Clock, statusEveryMs = DEFAULT_STATUS_EVERY_MS) {
    this.#output = output
    this.#clock = clock
    this.#statusEveryMs = statusEveryMs
    this.#lastStatusMs = clock.monotonic()
  }

  show(event: JobEvent): void {
    const nowMs = this.#clock.monotonic()
    this.#progress.apply(event, nowMs)
    if (event.event === 'done') {
      for (const line of reportLines(event)) this.note(line)
      return
    }
    const line = happening(event)
    if (line !== undefined) this.note(line)
    else if (nowMs - this.#lastStatusMs >= this.#statusEveryMs) {
      this.#lastStatusMs = nowMs
      this.note(statusLine(this.#progress, nowMs))
    }
  }

  note(text: string): void {
    this.#output.write(`${text}\n`)
  }

  close(): void {
    // Every line is complete as soon as it is written.
  }
}
