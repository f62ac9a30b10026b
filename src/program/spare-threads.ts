import type { ResourceLimits } from 'node:worker_threads'
import { SystemClock, type Clock, type Timer } from '../determinism/index.js'
import { ProgramThread } from './program-thread.js'
import type { Preparation, ProgramSpec } from './protocol.js'

/** Spares of a job that has failed once, unless it says otherwise: who failed may fail again. */
export const DEFAULT_SPARES_AFTER_FAILURE = 1

/** How long spares outlive the last program of their job: its worker is probably being started again. */
const LINGER_MS = 10_000

interface Spare {
  readonly thread: ProgramThread
  prepared: boolean
}

/** The programs that one kind of spare can take over, and what is ready for them. */
interface Group {
  readonly key: string
  readonly spares: Spare[]
  running: number
  failed: boolean
  linger: Timer | undefined
}

/**
 * Threads in which TensorFlow is loaded already, for the successors of programs that fail. A spare has seen nothing of
 * the user's code, and its random numbers begin anew with its program: what comes out is the same with and without.
 *
 * Preparing one costs as much time as a start does, so it is done while the job trains, one at a time, and never before
 * its programs run.
 */
export class SpareThreads {
  readonly #limits: ResourceLimits | undefined
  readonly #wanted: number | undefined
  readonly #clock: Clock = new SystemClock()
  readonly #groups = new Map<string, Group>()
  #closed = false

  /** @param wanted how many for each job that does not say; undefined: one once it has failed */
  constructor(limits: ResourceLimits | undefined, wanted: number | undefined) {
    this.#limits = limits
    this.#wanted = wanted
  }

  /** Spares that have loaded TensorFlow and wait. */
  get prepared(): number {
    return [...this.#groups.values()].flatMap(({ spares }) => spares).filter(({ prepared }) => prepared)
      .length
  }

  /** The spare that is furthest, if there is one; it is the caller's now. */
  take(spec: ProgramSpec): ProgramThread | undefined {
    return this.#group(spec).spares.shift()?.thread
  }

  started(spec: ProgramSpec): void {
    const group = this.#group(spec)
    group.running++
    group.linger?.cancel()
    group.linger = undefined
  }

  /** A program trains: from now on there is time to prepare its successor. */
  live(spec: ProgramSpec): void {
    this.#topUp(this.#group(spec), spec)
  }

  ended(spec: ProgramSpec, failed: boolean): void {
    const group = this.#group(spec)
    group.running--
    group.failed ||= failed
    if (group.running > 0) return
    if (!failed) this.#drop(group)
    else {
      group.linger = this.#clock.after(LINGER_MS, () => this.#drop(group))
      group.linger.hold(false)
    }
  }

  /** Ends those that wait, and prepares no more. */
  close(): void {
    this.#closed = true
    for (const group of this.#groups.values()) this.#drop(group)
  }

  #topUp(group: Group, spec: ProgramSpec): void {
    const wanted = spec.spareThreads ?? this.#wanted ?? (group.failed ? DEFAULT_SPARES_AFTER_FAILURE : 0)
    const { spares } = group
    if (this.#closed || spares.length >= wanted || spares.some(({ prepared }) => !prepared)) return
    const gone = (): void => {
      const at = spares.indexOf(spare)
      if (at !== -1) spares.splice(at, 1)
    }
    const thread = new ProgramThread(preparationOf(spec), `${spec.job}/spare`, this.#limits, {
      onMessage: message => {
        if ('tell' in message && message.tell === 'prepared') {
          spare.prepared = true
          if (group.running > 0) this.#topUp(group, spec)
        } else {
          // whoever starts next will be told why
          gone()
          thread.terminate()
        }
      },
      onError: gone,
      onExit: gone,
    })
    const spare: Spare = { thread, prepared: false }
    thread.hold(false)
    spares.push(spare)
  }

  #group(spec: ProgramSpec): Group {
    const { module, seed, backend } = preparationOf(spec)
    const key = JSON.stringify([spec.job, module, seed, backend])
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { key, spares: [], running: 0, failed: false, linger: undefined }
      this.#groups.set(key, group)
    }
    return group
  }

  #drop(group: Group): void {
    this.#groups.delete(group.key)
    group.linger?.cancel()
    for (const { thread } of group.spares.splice(0)) thread.terminate()
  }
}

/** What of a program its thread needs to know before it has it. */
export function preparationOf({ module, seed, backend }: ProgramSpec): Preparation {
  return { module, seed, ...(backend === undefined ? {} : { backend }) }
}
