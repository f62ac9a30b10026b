import type { Clock, Random, Scheduler, Timer } from '../determinism/index.js'
import type { NodeAddress } from '../transport/port.js'
import { TimerQueue } from './timer-queue.js'

/** What a machine sees of the world that it is in. */
export interface MachineWorld {
  readonly nowMs: number
  readonly epochMs: number
  /** Draws which of several things is next. */
  choose(among: number): number
}

export type MachineState = 'up' | 'paused' | 'down'

const NEVER: Timer = { cancel: () => {}, hold: () => {} }

/**
 * One incarnation of a simulated node: its clock, its scheduler, and what waits to run on it. A paused machine runs
 * nothing until it resumes; one that is down never again.
 */
export class Machine {
  readonly address: NodeAddress
  readonly name: string
  readonly random: Random
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly microtasks: (() => void)[] = []
  readonly immediates: (() => void)[] = []
  readonly timers = new TimerQueue<Machine>()
  state: MachineState = 'up'
  /** What its wall clock is wrong by. Its monotonic clock is right. */
  skewMs = 0

  constructor(world: MachineWorld, address: NodeAddress, random: Random) {
    this.address = address
    this.name = `${address.id}/${address.incarnation}`
    this.random = random
    this.clock = {
      now: () => world.epochMs + world.nowMs + this.skewMs,
      monotonic: () => world.nowMs,
      after: (delayMs, callback) =>
        this.state === 'down' ? NEVER : this.timers.add(world.nowMs + Math.max(0, delayMs), this, callback),
    }
    this.scheduler = {
      microtask: task => {
        if (this.state !== 'down') this.microtasks.push(task)
      },
      immediate: task => {
        if (this.state !== 'down') this.immediates.push(task)
      },
      choose: runnable => world.choose(runnable),
    }
  }

  /** Ends it at once, as a power cut does. */
  halt(): void {
    this.state = 'down'
    this.microtasks.length = 0
    this.immediates.length = 0
    this.timers.removeAll(this)
  }
}
