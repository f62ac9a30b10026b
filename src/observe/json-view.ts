import type { JobDone, JobEvent } from '../program/events.js'
import type { JobView } from './job-view.js'
import type { Output } from './output.js'

/**
 * One JSON object a line, for programs: every event as it is. What the end says beside the figures everybody wants
 * goes into a line `report` of its own, so that the last line stays short and its fields stay the same.
 */
export class JsonView implements JobView {
  readonly #output: Output

  constructor(output: Output) {
    this.#output = output
  }

  show(event: JobEvent): void {
    if (event.event !== 'done') {
      this.#line(event)
      return
    }
    const { phases, workerSteps, exactNote, checkpoint, result } = event
    this.#line({ event: 'report', phases, workerSteps, exactNote, checkpoint, result })
    this.#line(doneLine(event))
  }

  note(text: string): void {
    this.#line({ event: 'note', message: text })
  }

  close(): void {
    // Every line is complete as soon as it is written.
  }

  #line(value: unknown): void {
    this.#output.write(`${JSON.stringify(value)}\n`)
  }
}

function doneLine(done: JobDone): Record<string, unknown> {
  const { event, accuracy, steps, seconds, rowsPerSecond, restarts, exact, weightsSha256, backend } = done
  return {
    event,
    accuracy,
    steps,
    seconds: Math.round(seconds * 1000) / 1000,
    rowsPerSecond: Math.round(rowsPerSecond),
    restarts,
    exact,
    weightsSha256,
    backend,
  }
}
