import { TroupeError, type ActorRef, type JobDone, type JobEvent, type Troupe } from 'troupe'
import { EventLog } from './event-log.js'
import { NO_TIMEOUT_MS } from './job-spec.js'
import type { JobSupervisor } from './job-supervisor.js'

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
  /** Stops the job, its programs included. Does nothing once it has ended. */
  stop(): Promise<void>
}

type End = { readonly kind: 'done' | 'stopped' } | { readonly kind: 'failed'; readonly error: unknown }

/** Reads a job's events from its supervisor as they come, and stops the supervisor when the job is done. */
export class SupervisedJob implements JobHandle {
  readonly name: string
  readonly done: Promise<JobDone>
  readonly #troupe: Troupe
  readonly #supervisor: ActorRef<JobSupervisor>
  readonly #log = new EventLog<JobEvent>(MAX_UNREAD_EVENTS)
  #end: End | undefined
  #wake: (() => void)[] = []

  constructor(name: string, troupe: Troupe, supervisor: ActorRef<JobSupervisor>) {
    this.name = name
    this.#troupe = troupe
    this.#supervisor = supervisor
    this.done = this.#run()
    // Whoever reads only the events is told of a failure there.
    this.done.catch(() => undefined)
  }

  get events(): AsyncIterable<JobEvent> {
    return { [Symbol.asyncIterator]: () => this.#read() }
  }

  async stop(): Promise<void> {
    if (this.#end === undefined) this.#supervisor.tell.windDown()
    await this.#troupe.whenTerminated(this.#supervisor)
  }

  async #run(): Promise<JobDone> {
    try {
      const done = await this.#follow()
      await this.#troupe.stop(this.#supervisor)
      this.#finish({ kind: 'done' })
      return done
    } catch (error) {
      const { reason } = await this.#troupe.whenTerminated(this.#supervisor)
      const failed = reason.kind === 'failed' ? reason.cause : undefined
      const stopped = reason.kind === 'stopped'
      this.#finish(stopped ? { kind: 'stopped' } : { kind: 'failed', error: failed ?? error })
      if (!stopped) throw failed ?? error
      throw new TroupeError('ERR_JOB_STOPPED', `job ${this.name} was stopped`)
    }
  }

  /** Until `done`; rejects when the supervisor ends before. */
  async #follow(): Promise<JobDone> {
    for (let from = 0; ;) {
      const { events, next } = await this.#supervisor.ask.with({ timeoutMs: NO_TIMEOUT_MS }).events(from)
      from = next
      for (const event of events) this.#log.append(event)
      this.#notify()
      const last = events.at(-1)
      if (last?.event === 'done') return last
    }
  }

  async *#read(): AsyncGenerator<JobEvent, void> {
    for (let from = 0; ;) {
      const { events, next } = this.#log.read(from)
      yield* events
      from = next
      if (from < this.#log.next) continue
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
