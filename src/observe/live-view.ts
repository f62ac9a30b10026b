import type { Clock, Timer } from '../determinism/index.js'
import type { JobEvent } from '../program/events.js'
import { percent } from './figures.js'
import { happening, statusParts } from './job-text.js'
import type { JobView } from './job-view.js'
import type { Output } from './output.js'
import { reportLines } from './report.js'
import { RunProgress } from './run-progress.js'

/** A terminal is redrawn this often at most, and this often also when nothing happens, since time goes on. */
export const REDRAW_EVERY_MS = 100

const BAR_WIDTH = 24
const ERASE_BELOW = '\u001b[0J'
const upLines = (lines: number): string => (lines === 0 ? '' : `\u001b[${lines}A`)

/** A status of two lines that is redrawn in place, below the lines that stay: for terminals. */
export class LiveView implements JobView {
  readonly #output: Output
  readonly #clock: Clock
  readonly #progress = new RunProgress()
  /** Lines of status on the screen, above the cursor. */
  #drawn = 0
  #timer: Timer | undefined

  constructor(output: Output, clock: Clock) {
    this.#output = output
    this.#clock = clock
  }

  show(event: JobEvent): void {
    this.#progress.apply(event, this.#clock.monotonic())
    if (event.event === 'done') {
      this.close()
      this.#output.write(`${reportLines(event).join('\n')}\n`)
      return
    }
    const line = happening(event)
    if (line !== undefined) this.note(line)
    else this.#schedule()
  }

  note(text: string): void {
    this.#output.write(`${this.#erase()}${text}\n`)
    if (this.#timer !== undefined) this.#draw()
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#drawn > 0) this.#output.write(this.#erase())
  }

  #schedule(): void {
    if (this.#timer !== undefined) return
    this.#timer = this.#clock.after(REDRAW_EVERY_MS, () => {
      this.#timer = undefined
      this.#draw()
      this.#schedule()
    })
    this.#timer.hold(false)
  }

  #draw(): void {
    const { place, figures } = statusParts(this.#progress, this.#clock.monotonic())
    const part = this.#progress.fraction
    const bar = part === undefined ? '' : `${barText(part)} ${percent(part, 0).padStart(5)}  `
    // A line that wraps would take two rows of the screen, and the next redraw would miss one.
    const lines = [`${bar}${place}`, figures].map(line => line.slice(0, this.#output.columns - 1))
    this.#output.write(`${this.#erase()}${lines.join('\n')}\n`)
    this.#drawn = lines.length
  }

  /** The sequence that takes the status off the screen. */
  #erase(): string {
    if (this.#drawn === 0) return ''
    const sequence = `\r${upLines(this.#drawn)}${ERASE_BELOW}`
    this.#drawn = 0
    return sequence
  }
}

function barText(part: number): string {
  const full = Math.floor(part * BAR_WIDTH)
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
}
