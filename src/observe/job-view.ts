import type { JobEvent } from '../program/events.js'

/** Shows a job as it runs: each way of showing is one of these. */
export interface JobView {
  /** Takes the job's events in order. */
  show(event: JobEvent): void
  /** A line from whoever runs the job, such as that it is being stopped. */
  note(text: string): void
  /** Leaves the output in order: no timer, no half-drawn line. Harmless when called again. */
  close(): void
}
