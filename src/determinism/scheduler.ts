import { token } from './token.js'

/** When runnable work runs, as Troupe's dispatcher sees it. A simulation replaces it. */
export interface Scheduler {
  /** Runs `task` before any I/O. */
  microtask(task: () => void): void
  /** Runs `task` after pending I/O had its turn. */
  immediate(task: () => void): void
  /**
   * Which of `runnable` mailboxes goes next, as an index; 0 is the one that has waited longest. Absent: always 0,
   * and a mailbox keeps the turn until it is empty. A simulation returns any index and is asked for each message.
   */
  readonly choose?: (runnable: number) => number
}

export const Scheduler = token<Scheduler>('Scheduler')

export class SystemScheduler implements Scheduler {
  microtask(task: () => void): void {
    queueMicrotask(task)
  }

  immediate(task: () => void): void {
    setImmediate(task)
  }
}
