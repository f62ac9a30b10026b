import { SeededRandom, type Random, type Timer } from '../determinism/index.js'
import { describe, TroupeError } from '../errors.js'
import type { NodeAddress } from '../transport/port.js'
import type { Link } from './link.js'
import type { SimulatedNetwork } from './network.js'
import { Machine, type MachineWorld } from './machine.js'
import { TimerQueue } from './timer-queue.js'
import { Trace } from './trace.js'
import { afterTurn } from './turn.js'
import { DEFAULT_EPOCH_MS } from './virtual-clock.js'

export interface WorldLimits {
  /** Events after which a run that has not ended is a failure. */
  readonly maxEvents: number
  /** Virtual time after which a run that has not ended is a failure. */
  readonly maxVirtualMs: number
}

/** own: an event of the world itself, such as a fault. */
type EventKind = 'microtask' | 'immediate' | 'timer' | 'frame' | 'own'

/** Runs after each event, when the program is idle: checks look at the state here. */
export type Observer = () => void

/**
 * The event loop of a simulation. In each turn the program runs until no microtask is left; then one of the events
 * that may legally come next is drawn: a task of a machine, a timer that is due, a frame that has arrived. Time moves
 * only when there is none, and then to the next timer or frame.
 */
export class World implements MachineWorld {
  readonly epochMs = DEFAULT_EPOCH_MS
  readonly random: Random
  readonly trace: Trace
  nowMs = 0
  events = 0

  readonly #limits: WorldLimits
  readonly #draw: Random
  readonly #machines: Machine[] = []
  readonly #observers: Observer[] = []
  readonly #own = new TimerQueue<undefined>()
  #network: SimulatedNetwork | undefined
  #finish: (() => void) | undefined
  #failure: Error | undefined
  #over = false

  // what may come next: two lists side by side, used again in each turn
  readonly #kinds: EventKind[] = []
  readonly #subjects: (Machine | Link | undefined)[] = []

  constructor(seed: number, limits: WorldLimits, keepTrace: boolean) {
    this.random = new SeededRandom(seed)
    this.#draw = this.random.fork('schedule')
    this.#limits = limits
    this.trace = new Trace(keepTrace)
  }

  /** The network is made with the world it lives in, hence later. */
  connect(network: SimulatedNetwork): void {
    this.#network = network
  }

  get over(): boolean {
    return this.#over
  }

  boot(address: NodeAddress): Machine {
    const machine = new Machine(this, address, this.random.fork(`${address.id}/${address.incarnation}`))
    this.#machines.push(machine)
    return machine
  }

  halt(machine: Machine): void {
    machine.halt()
    const at = this.#machines.indexOf(machine)
    if (at >= 0) this.#machines.splice(at, 1)
  }

  /** A timer of the world itself: faults, announcements, the scenario's sleeps. */
  after(delayMs: number, callback: () => void): Timer {
    return this.#own.add(this.nowMs + Math.max(0, delayMs), undefined, callback)
  }

  observe(observer: Observer): void {
    this.#observers.push(observer)
  }

  note(what: string): void {
    if (!this.#over) this.trace.add(this.nowMs, what)
  }

  choose(among: number): number {
    return among <= 1 ? 0 : this.#draw.below(among)
  }

  /** Ends the run; the first failure counts. */
  fail(error: unknown): void {
    if (this.#over) return
    this.#failure ??=
      error instanceof Error
        ? error
        : new TroupeError(
            'ERR_SIMULATION_FAILED',
            `something was thrown that is no error: ${describe(error)}`,
          )
  }

  /** Ends the run well, once the event under way is done. */
  end(): void {
    this.#finish?.()
  }

  /** Runs `start`, then events until {@link end} or {@link fail}; rejects with the failure. */
  run(start: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      let ended = false
      this.#finish = () => {
        ended = true
      }
      const turn = (): void => {
        try {
          for (const observer of this.#observers) observer()
          if (this.#failure === undefined && !ended) this.#step()
        } catch (error) {
          this.fail(error)
        }
        if (this.#failure === undefined && !ended) return afterTurn(turn)
        this.#over = true
        for (const machine of [...this.#machines]) this.halt(machine)
        if (this.#failure === undefined) resolve()
        else reject(this.#failure)
      }
      afterTurn(() => {
        try {
          start()
        } catch (error) {
          this.fail(error)
        }
        afterTurn(turn)
      })
    })
  }

  #step(): void {
    this.#gather()
    if (this.#kinds.length === 0) {
      this.#advance()
      this.#gather()
    }
    if (++this.events > this.#limits.maxEvents) {
      throw new TroupeError(
        'ERR_SIMULATION_FAILED',
        `no end after ${this.#limits.maxEvents} events (maxEvents)`,
      )
    }
    const at = this.choose(this.#kinds.length)
    const subject = this.#subjects[at]
    switch (this.#kinds[at]!) {
      case 'microtask':
        return this.#run(subject as Machine, 'microtask', (subject as Machine).microtasks.shift()!)
      case 'immediate':
        return this.#run(subject as Machine, 'task', (subject as Machine).immediates.shift()!)
      case 'timer':
        return this.#run(subject as Machine, 'timer', (subject as Machine).timers.pop()!.callback)
      case 'frame':
        return this.#network!.deliver(subject as Link)
      case 'own':
        return this.#own.pop()!.callback()
    }
  }

  #run(machine: Machine, kind: string, task: () => void): void {
    this.trace.add(this.nowMs, `${kind} ${machine.name}`)
    task()
  }

  /** Microtasks come before all else, as the Scheduler promises; among the rest every order is legal. */
  #gather(): void {
    this.#kinds.length = 0
    this.#subjects.length = 0
    for (const machine of this.#machines) {
      if (machine.state === 'up' && machine.microtasks.length > 0) this.#add('microtask', machine)
    }
    if (this.#kinds.length > 0) return
    for (const machine of this.#machines) {
      if (machine.state !== 'up') continue
      if (machine.immediates.length > 0) this.#add('immediate', machine)
      const timer = machine.timers.peek()
      if (timer !== undefined && timer.dueMs <= this.nowMs) this.#add('timer', machine)
    }
    const own = this.#own.peek()
    if (own !== undefined && own.dueMs <= this.nowMs) this.#add('own', undefined)
    for (const link of this.#network!.busy) {
      if (link.dueMs() <= this.nowMs && link.deliverable()) this.#add('frame', link)
    }
  }

  #add(kind: EventKind, subject: Machine | Link | undefined): void {
    this.#kinds.push(kind)
    this.#subjects.push(subject)
  }

  #advance(): void {
    let nextMs = this.#own.peek()?.dueMs ?? Infinity
    // timers that would not keep a process alive, such as those that tidy up, bring nobody further
    let held = this.#own.size
    for (const machine of this.#machines) {
      if (machine.state !== 'up') continue
      nextMs = Math.min(nextMs, machine.timers.peek()?.dueMs ?? Infinity)
      held += machine.timers.held
    }
    for (const link of this.#network!.busy) {
      if (!link.deliverable()) continue
      nextMs = Math.min(nextMs, link.dueMs())
      held++
    }
    if (held === 0) {
      throw new TroupeError(
        'ERR_SIMULATION_FAILED',
        'the scenario waits, and nothing is left that could happen: no task, timer or frame',
      )
    }
    if (nextMs > this.#limits.maxVirtualMs) {
      throw new TroupeError(
        'ERR_SIMULATION_FAILED',
        `no end after ${this.#limits.maxVirtualMs} ms of virtual time (maxVirtualMs)`,
      )
    }
    this.nowMs = Math.max(this.nowMs, nextMs)
  }
}
