import type { JobCheckpoint, JobEvent, JobStarted, Logs } from '../program/events.js'

/** Rows a second are those of this last stretch of time: long enough not to jump, short enough to show a stall. */
export const RATE_WINDOW_MS = 5_000

/** Samples of the rate are no closer than this, so that fast steps do not pile them up. */
const SAMPLE_EVERY_MS = 100

/** Where a job stands, as of its events so far. */
export class RunProgress {
  started: JobStarted | undefined
  /** Steps that are closed; where workers are apart, those of all of them. */
  step = 0
  /** From 0. */
  epoch = 0
  totalSteps: number | null = null
  loss: number | undefined
  metrics: Logs = {}
  /** Failures so far; each is followed by a restart, or the job fails. */
  restarts = 0
  /** Actors that failed and are not back yet. */
  readonly down = new Set<string>()
  rows = 0
  /** The newest one. */
  checkpoint: JobCheckpoint | undefined
  #startMs: number | undefined
  #startStep = 0
  #lastStepMs = -Infinity
  readonly #samples: { atMs: number; rows: number }[] = []

  /** @param atMs the clock's monotonic time */
  apply(event: JobEvent, atMs: number): void {
    switch (event.event) {
      case 'started':
        this.started = event
        this.totalSteps = this.#total(event.totalSteps)
        this.step = event.resumed?.step ?? this.step
        break
      case 'step':
        // Where workers are apart each counts its own, and each step is told once.
        this.step = event.worker === null ? event.step : this.step + 1
        // The time of the first step includes compiling kernels: the clock starts at its end.
        if (this.#startMs === undefined) {
          this.#startMs = atMs
          this.#startStep = this.step
        }
        this.epoch = Math.max(this.epoch, event.epoch)
        this.loss = event.loss
        this.metrics = event.metrics
        this.totalSteps = this.#total(event.totalSteps) ?? this.totalSteps
        this.rows += event.rows
        this.#lastStepMs = atMs
        this.#sample(atMs)
        break
      case 'failure':
        this.restarts++
        this.down.add(event.actor)
        break
      case 'restored':
        this.down.delete(event.actor)
        break
      case 'checkpoint':
        this.checkpoint = event
        break
      case 'epochEnd':
      case 'log':
      case 'done':
        break
    }
  }

  /** Rows trained on a second, over the last {@link RATE_WINDOW_MS}; undefined until it can be told. */
  rowsPerSecond(atMs: number): number | undefined {
    if (this.#samples.length > 0 && atMs - this.#lastStepMs > RATE_WINDOW_MS) return 0
    const oldest = this.#samples.find(sample => atMs - sample.atMs <= RATE_WINDOW_MS)
    if (oldest === undefined || atMs - oldest.atMs < SAMPLE_EVERY_MS) return undefined
    return ((this.rows - oldest.rows) * 1000) / (atMs - oldest.atMs)
  }

  /** By the mean pace so far; undefined where the end is not known or the pace cannot be told yet. */
  secondsLeft(atMs: number): number | undefined {
    if (this.totalSteps === null || this.#startMs === undefined) return undefined
    const done = this.step - this.#startStep
    const elapsedMs = atMs - this.#startMs
    if (done < 1 || elapsedMs <= 0) return undefined
    return ((this.totalSteps - this.step) * elapsedMs) / done / 1000
  }

  /** 0 to 1; undefined where the end is not known. */
  get fraction(): number | undefined {
    return this.totalSteps === null || this.totalSteps === 0
      ? undefined
      : Math.min(1, this.step / this.totalSteps)
  }

  /** Over all workers, as steps are counted here. */
  #total(ofEach: number | null): number | null {
    const workers = this.started === undefined || this.started.staleness === 0 ? 1 : this.started.workers
    return ofEach === null ? null : ofEach * workers
  }

  #sample(atMs: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && atMs - last.atMs < SAMPLE_EVERY_MS) return
    this.#samples.push({ atMs, rows: this.rows })
    // One sample older than the window is kept: the rate reaches back to it.
    const second = this.#samples[1]
    if (second !== undefined && atMs - second.atMs > RATE_WINDOW_MS) this.#samples.shift()
  }
}
