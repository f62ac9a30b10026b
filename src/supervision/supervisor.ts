import { describe, TroupeError } from '../errors.js'
import type { Timer } from '../determinism/index.js'
import type { Cell } from '../actor/cell.js'
import { STOPPED, type DeathReason } from '../actor/death.js'
import { events } from '../actor/events.js'
import type { ChildSupervisor } from '../actor/supervision-port.js'
import { backoffMs } from './backoff.js'
import type { Directive, Supervision } from './options.js'
import { RestartWindow } from './restart-window.js'

interface RestartOrder {
  readonly child: Cell
  /** The incarnation that ended: the order is void once another one runs. */
  readonly incarnation: number
  readonly reason: DeathReason
  readonly delayMs: number
}

const DIRECTIVES: ReadonlySet<string> = new Set<Directive>(['restart', 'resume', 'stop', 'escalate'])

/**
 * Supervises the children of one incarnation of an actor, after OTP's supervisor: restart types, strategies, intensity,
 * significant children; with backoff and a decider on top. Group restarts run one after another; a child that failed
 * again meanwhile is covered by the one under way or gets the next.
 */
export class Supervisor implements ChildSupervisor {
  readonly #owner: Cell
  readonly #options: Supervision
  readonly #window: RestartWindow
  readonly #delays = new Set<Timer>()
  #orders: RestartOrder[] = []
  #working = false
  #closed = false

  constructor(owner: Cell, options: Supervision) {
    this.#owner = owner
    this.#options = options
    this.#window = new RestartWindow(options.maxRestarts, options.withinMs)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#delays) timer.cancel()
    this.#delays.clear()
    this.#orders = []
  }

  childEnded(child: Cell, reason: DeathReason): void {
    if (this.#closed) return
    let directive: Directive
    try {
      directive = this.#directive(child, reason)
    } catch (error) {
      // nobody can say what is to become of the child: that is this supervisor's failure
      this.#failOwner(error)
      return
    }
    switch (directive) {
      case 'resume':
        child.resume()
        return
      case 'stop':
        this.#stop(child, reason)
        return
      case 'escalate':
        this.#failOwner(
          new TroupeError(
            'ERR_ACTOR_FAILED',
            `${child.path} failed, and ${this.#owner.path} escalates that`,
            {
              data: { path: child.path },
              cause: child.lastFailure,
            },
          ),
        )
        return
      case 'restart':
        this.#order(child, reason)
    }
  }

  #directive(child: Cell, reason: DeathReason): Directive {
    if (reason.kind === 'failed') {
      const decided = this.#decide(reason.cause, child)
      // there is nothing to resume where no instance has started, or its thread is gone
      const directive = decided === 'resume' && !child.resumable ? 'restart' : decided
      const final = child.spec.restart === 'temporary' || child.spec.restart === 'failover'
      return directive === 'restart' && final ? 'stop' : directive
    }
    if (child.spec.restart === 'temporary') return 'stop'
    if (reason.kind === 'stopped' && child.spec.restart !== 'permanent') return 'stop'
    return 'restart'
  }

  /** @throws what the user's decider throws; ERR_INVALID_OPTION if it decides nothing */
  #decide(cause: unknown, child: Cell): Directive {
    const { path, restarts, type } = child
    const directive = this.#options.decide?.(cause, { path, type: type.name, restarts }) ?? 'restart'
    if (DIRECTIVES.has(directive)) return directive
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `the decider of ${this.#owner.path} answers with one of ${[...DIRECTIVES].join(', ')}, got ${describe(directive)}`,
      { data: { option: 'decide', value: describe(directive) }, cause },
    )
  }

  #stop(child: Cell, reason: DeathReason): void {
    const stopping = child.stop(reason)
    if (stopping === undefined) this.#gone(child)
    else void stopping.then(() => this.#gone(child))
  }

  /** A child ended for good by itself: a significant one takes its parent along. */
  #gone(child: Cell): void {
    if (this.#closed || !child.spec.significant) return
    const others = [...(this.#owner.children?.values() ?? [])].some(other => other.spec.significant)
    if (this.#options.autoShutdown === 'all' && others) return
    this.#owner.requestStop()
  }

  #order(child: Cell, reason: DeathReason): void {
    const { system } = this.#owner
    const counts = (reason.kind !== 'killed' && reason.kind !== 'node-lost') || !child.progressed
    child.progressed = false
    let delayMs = 0
    if (counts) {
      const count = this.#window.count(system.clock.monotonic())
      if (this.#window.exceeded(count)) {
        this.#giveUp(child, reason, count)
        return
      }
      delayMs = backoffMs(this.#options.backoff, count, system.random)
    }
    if (events.restarting.hasSubscribers) {
      events.restarting.publish({
        runtime: system.name,
        path: child.path,
        incarnation: child.incarnation?.number,
        reason,
        delayMs,
        restarts: child.restarts + 1,
      })
    }
    const order = { child, incarnation: child.incarnation?.number ?? 0, reason, delayMs }
    if (this.#options.strategy === 'one-for-one') void this.#restart([child], order)
    else {
      this.#orders.push(order)
      if (!this.#working) void this.#work()
    }
  }

  #giveUp(child: Cell, reason: DeathReason, count: number): void {
    const { maxRestarts, withinMs } = this.#options
    this.#failOwner(
      new TroupeError(
        'ERR_RESTART_INTENSITY',
        `${child.path} ended (${reason.kind}) ${count} times within ${withinMs} ms, and ${this.#owner.path} allows ${maxRestarts} restarts`,
        {
          data: { path: child.path, restarts: count, maxRestarts, withinMs, reason: reason.kind },
          cause: reason.kind === 'failed' ? reason.cause : child.lastFailure,
        },
      ),
    )
  }

  /** The owner cannot go on as it is, with a child that nobody starts again: its incarnation ends, whatever is decided. */
  #failOwner(error: unknown): void {
    this.#owner.incarnation?.beginEnd()
    this.#owner.failed(error)
  }

  async #work(): Promise<void> {
    this.#working = true
    for (let order = this.#orders.shift(); order !== undefined; order = this.#orders.shift()) {
      const { child } = order
      // a group restart has covered it already
      if (child.state !== 'restarting' || child.incarnation?.number !== order.incarnation) continue
      // one at a time: group restarts must not overlap
      await this.#restart(this.#group(child), order)
    }
    this.#working = false
  }

  /** Who is restarted with a child, in start order. */
  #group(child: Cell): Cell[] {
    // one that is leased is not this incarnation's, until it is adopted
    const children = [...(this.#owner.children?.values() ?? [])].filter(({ lease }) => lease === undefined)
    return this.#options.strategy === 'one-for-all' ? children : children.slice(children.indexOf(child))
  }

  /** Stopped in reverse order, started in order, one after another. */
  async #restart(group: Cell[], order: RestartOrder): Promise<void> {
    for (const member of group) member.suspend()
    for (const member of group.toReversed()) {
      const reason = member === order.child ? order.reason : STOPPED
      if (member !== order.child && member.spec.restart === 'temporary') await member.stop()
      else {
        const down = member.windDown(reason, false)
        if (down !== undefined) await down
      }
      if (this.#closed) return
    }
    if (order.delayMs > 0) {
      await this.#delay(order.delayMs)
      if (this.#closed) return
    }
    for (const member of group) {
      if (member.state !== 'restarting') continue
      await member.restart(member === order.child ? order.reason : STOPPED)
      if (this.#closed) return
    }
  }

  #delay(delayMs: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#owner.system.clock.after(delayMs, () => {
        this.#delays.delete(timer)
        resolve()
      })
      this.#delays.add(timer)
    })
  }
}
