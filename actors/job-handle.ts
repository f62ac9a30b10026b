import { TroupeError, type ActorRef, type JobDone, type JobEvent, type Terminated, type Troupe } from 'troupe'
import { BEGINNING, EventLog, type EventPosition } from './event-log.js'
import { NO_TIMEOUT_MS } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'
import { isLostReply } from './loss.js'

/** Events that a slow reader of {@link JobHandle.events} may fall behind; beyond it the oldest are skipped. */
const MAX_UNREAD_EVENTS = 100_000

/** A job under way. */
export interface JobHandle {
  readonly name: string
  /**
   * What happens, from the beginning, each time it is iterated. Ends after `done`, or when the job was stopped;
   * throws what made the job fail. Of a reader that falls far behind, the oldest events are skipped.
   */
  readonly events: AsyncIterable<JobEvent>
  /** The last event; rejects with what made the job fail, or ERR_JOB_STOPPED. */
  readonly done: Promise<JobDone>
  /**
   * Stops the job, its programs included, after a last checkpoint where checkpoints are kept. Does nothing once it has
   * ended.
   */
  stop(): Promise<void>
}

/** Questions in a row that may be lost with a supervisor before its successor answers one. */
const MAX_LOST = 8

type End = { readonly kind: 'done' | 'stopped' } | { readonly kind: 'failed'; readonly error: unknown }

/**
 * Reads a job's events from its supervisor as they come, also from the next incarnation of one that was killed, and
 * stops the supervisor when the job is done.
 */
export class SupervisedJob implements JobHandle {
  readonly name: string
  readonly done: Promise<JobDone>
  readonly #troupe: Troupe
  readonly #supervisor: ActorRef<JobSupervisor>
  readonly #terminated: Promise<Terminated>
  readonly #afterwards: () => Promise<void>
  readonly #log = new EventLog<JobEvent>(0, MAX_UNREAD_EVENTS)
  /** Steps told so far, by worker where they are apart: a supervisor may tell again what the one before told. */
  readonly #steps = new Map<string | null, number>()
  #started = false
  #end: End | undefined
  #wake: (() => void)[] = []

  /** @param afterwards frees what the job held beside its actors, once it has ended; told whether it ended well */
  constructor(
    name: string,
    troupe: Troupe,
    supervisor: ActorRef<JobSupervisor>,
    afterwards: () => Promise<void>,
  ) {
    this.name = name
    this.#troupe = troupe
    this.#supervisor = supervisor
    this.#terminated = troupe.whenTerminated(supervisor)
    this.#afterwards = afterwards
    this.done = this.#run()
    // Whoever reads only the events is told of a failure there.
    this.done.catch(() => undefined)
  }

  get events(): AsyncIterable<JobEvent> {
    return { [Symbol.asyncIterator]: () => this.#read() }
  }

  async stop(): Promise<void> {
    if (this.#end === undefined) this.#supervisor.tell.windDown()
    await this.done.catch(() => undefined)
  }

  async #run(): Promise<JobDone> {
    try {
      const done = await this.#follow()
      await this.#troupe.stop(this.#supervisor)
      await this.#afterwards()
      this.#finish({ kind: 'done' })
      return done
    } catch (error) {
      const { reason } = await this.#terminated
      await this.#afterwards()
      const failed = reason.kind === 'failed' ? reason.cause : undefined
      const stopped = reason.kind === 'stopped'
      this.#finish(stopped ? { kind: 'stopped' } : { kind: 'failed', error: failed ?? error })
      if (!stopped) throw failed ?? error
      throw new TroupeError('ERR_JOB_STOPPED', `job ${this.name} was stopped`)
    }
  }

  /** Until `done`; rejects when the supervisor ends before. */
  async #follow(): Promise<JobDone> {
    let from: EventPosition = BEGINNING
    let lost = 0
    for (;;) {
      let batch
      try {
        batch = await this.#supervisor.ask.with({ timeoutMs: NO_TIMEOUT_MS }).events(from)
      } catch (error) {
        // It was killed: the question waits for its successor. One that comes back at once: there is none.
        if (!isLostReply(error) || ++lost > MAX_LOST) throw error
        continue
      }
      lost = 0
      from = batch
      for (const event of batch.events) this.#take(event)
      this.#notify()
      const last = batch.events.at(-1)
      if (last?.event === 'done') return last
    }
  }

  #take(event: JobEvent): void {
    if (event.event === 'step') {
      if (event.step <= (this.#steps.get(event.worker) ?? 0)) return
      this.#steps.set(event.worker, event.step)
    }
    if (event.event === 'started') {
      if (this.#started) return
      this.#started = true
    }
    this.#log.append(event)
  }

  async *#read(): AsyncGenerator<JobEvent, void> {
    for (let from = BEGINNING; ;) {
      const batch = this.#log.read(from)
      yield* batch.events
      from = batch
      if (this.#log.has(from)) continue
      if (this.#end === undefined) {
        await new Promise<void>(resolve => {
          this.#wake.push(resolve)
        })
      } else if (this.#end.kind === 'failed') throw this.#end.error
      else return
    }
  }

  #finish(end: End): void {
    this.#end = end
    this.#notify()
  }

  #notify(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }
}
