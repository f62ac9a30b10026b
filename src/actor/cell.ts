import type { Timer } from '../determinism/index.js'
import { failedError, goneError, nameTakenError, spawnError, stopTimeoutError } from './cell-errors.js'
import type { ChainLink } from './chain.js'
import { compileChildSpec, type ChildSpec, type SpawnOptions } from './child-spec.js'
import { KILLED, SPAWNED, STOPPED, type DeathReason, type StartCause } from './death.js'
import { events } from './events.js'
import { LocalIncarnation } from './local-incarnation.js'
import { MessageCell } from './message-cell.js'
import { checkActorName } from './name.js'
import type { ActorType } from './protocol.js'
import type { ChildSupervisor } from './supervision-port.js'
import type { ActorSystem } from './system.js'

export type { CellState } from './message-cell.js'

/**
 * What stays of an actor over its restarts: its place in the tree, its mailbox, its watchers. The instance lives in the
 * current incarnation, for an isolated actor behind a host. Everything here is synchronous where nothing has to be
 * waited for, so that spawning and stopping cost microseconds.
 */
export class Cell extends MessageCell {
  readonly parent: Cell | undefined
  readonly args: unknown

  /** In the order they were started. */
  children: Map<string, Cell> | undefined
  restarts = 0
  lastFailure: unknown
  /** Real work was reported since the last kill or loss of a node. */
  progressed = false
  /** A leased child between two incarnations of its parent. */
  lease: Timer | undefined

  /** How a child ended while nobody supervised it, or nobody had adopted it yet. */
  #unsupervisedEnd: DeathReason | undefined
  #supervisor: ChildSupervisor | undefined
  /** Whoever spawned it: told once that it runs, or that it never will. */
  #onSpawned: ((error: Error | undefined) => void) | undefined
  /** Whoever restarts it: told when it runs, or has failed again. */
  #onRestarted: (() => void) | undefined
  /** Waits for what is under way, in order to end. */
  #waiting: (() => void) | undefined
  #windingDown: Promise<void> | undefined
  #exit: Promise<void> | undefined

  constructor(
    system: ActorSystem,
    parent: Cell | undefined,
    name: string,
    type: ActorType,
    args: unknown,
    spec: ChildSpec,
  ) {
    super(system, name, type, spec)
    this.parent = parent
    this.args = args
  }

  get path(): string {
    if (this.parent === undefined) return '/'
    return this.parent.parent === undefined ? `/${this.name}` : `${this.parent.path}/${this.name}`
  }

  protected override onIdle(): void {
    if (this.#waiting !== undefined) this.#waiting()
    else if (this.incarnation?.stopRequested === true && this.state === 'running') {
      this.state = 'restarting'
      this.#ended(STOPPED)
    }
  }

  /**
   * Starts the first incarnation. Comes back at once where nothing has to be waited for: a promise for each of many
   * actors costs more than they do.
   *
   * @throws, rejects with ERR_ACTOR_START, or what else ended it before it ran; nothing is left then
   */
  start(chain: ChainLink | undefined): Cell | Promise<Cell> {
    this.#begin(SPAWNED, chain)
    const { incarnation } = this
    // one that stops itself in `onStart` has run
    if (incarnation?.started === true && (incarnation.stopRequested || this.state !== 'stopping')) return this
    if (this.death !== undefined) throw spawnError(this.path, this.type.name, this.death)
    return new Promise((resolve, reject) => {
      this.#onSpawned = error => {
        if (error === undefined) resolve(this)
        else reject(error)
      }
    })
  }

  #begin(cause: StartCause, chain: ChainLink | undefined): void {
    this.state = 'starting'
    const incarnation = new LocalIncarnation(this, this.system.nextIncarnation(), chain)
    this.incarnation = incarnation
    this.busy = true
    const sequence = ++incarnation.sequence
    let starting: void | Promise<void>
    try {
      incarnation.host = this.system.host(this)
      if (incarnation.host !== undefined) starting = incarnation.host.start(cause)
      else {
        incarnation.instance = this.system.construct(incarnation)
        starting = incarnation.instance.onStart?.(cause)
      }
    } catch (error) {
      this.#startFailed(incarnation, sequence, error)
      return
    }
    if (starting === undefined) this.#started(incarnation, sequence, cause)
    else {
      Promise.resolve(starting).then(
        () => this.#started(incarnation, sequence, cause),
        (error: unknown) => this.#startFailed(incarnation, sequence, error),
      )
    }
  }

  #started(incarnation: LocalIncarnation, sequence: number, cause: StartCause): void {
    if (incarnation.ended || incarnation.sequence !== sequence) return
    incarnation.started = true
    if (this.state === 'starting') {
      this.state = 'running'
      if (events.started.hasSubscribers) {
        const { number } = incarnation
        events.started.publish({ runtime: this.system.name, path: this.path, incarnation: number, cause })
      }
      this.#tellSpawner(undefined)
      this.#tellRestarter()
    }
    this.idle()
  }

  #startFailed(incarnation: LocalIncarnation, sequence: number, error: unknown): void {
    if (incarnation.ended || incarnation.sequence !== sequence) return
    this.failed(error)
  }

  #tellSpawner(error: Error | undefined): void {
    const onSpawned = this.#onSpawned
    this.#onSpawned = undefined
    onSpawned?.(error)
  }

  #tellRestarter(): void {
    const onRestarted = this.#onRestarted
    this.#onRestarted = undefined
    onRestarted?.()
  }

  override failed(cause: unknown): void {
    if (this.state === 'stopped') return
    this.lastFailure = cause
    const waiting = this.current
    const { incarnation } = this
    // what is still under way in it must not be taken for the next message's end
    if (incarnation !== undefined) incarnation.sequence++
    this.busy = false
    this.current = undefined
    waiting?.fail(failedError(this.path, cause))
    if (events.failed.hasSubscribers) {
      const number = incarnation?.number
      events.failed.publish({ runtime: this.system.name, path: this.path, incarnation: number, cause })
    }
    // on its way out already: whoever waits for that need wait no longer
    if (this.state === 'stopping' || this.state === 'restarting') this.onIdle()
    else if (this.state === 'starting' && this.restarts === 0) void this.stop({ kind: 'failed', cause })
    else this.#toSupervisor({ kind: 'failed', cause })
  }

  #toSupervisor(reason: DeathReason): void {
    this.state = 'restarting'
    // the supervisor may restart it before this returns, and then another one waits
    const onRestarted = this.#onRestarted
    this.#onRestarted = undefined
    this.#ended(reason)
    onRestarted?.()
  }

  /** Ends the incarnation at once and without its hooks; the supervisor decides what follows. */
  kill(reason: DeathReason = KILLED): void {
    if (this.state === 'stopped') return
    const waiting = this.current
    this.busy = false
    this.current = undefined
    this.incarnation?.end(true)
    waiting?.fail(goneError(this.path, reason))
    // on its way out already: whoever waits for that need wait no longer
    if (this.state === 'stopping' || this.state === 'restarting') this.onIdle()
    else if (this.state === 'starting' && this.restarts === 0) void this.stop(reason)
    else this.#toSupervisor(reason)
  }

  /** No more messages until it is started again: its group is about to be restarted. */
  suspend(): void {
    if (this.state === 'running' || this.state === 'starting') this.state = 'restarting'
  }

  /** Is there an instance that could go on after a failure? */
  get resumable(): boolean {
    const { incarnation } = this
    return (
      incarnation !== undefined &&
      incarnation.started &&
      !incarnation.ending &&
      incarnation.host?.lost === undefined
    )
  }

  /** After a failure that the supervisor forgives: same instance, next message. */
  resume(): void {
    this.state = 'running'
    this.idle()
  }

  /** Starts the next incarnation, after {@link windDown}. Resolves when it runs, or has failed and was reported. */
  restart(reason: DeathReason): Promise<void> {
    this.restarts++
    return new Promise(resolve => {
      this.#onRestarted = resolve
      this.#begin({ kind: 'restarted', reason, restarts: this.restarts }, undefined)
    })
  }

  /** The actor's own wish to stop: after the current message. Its supervisor decides what follows. */
  requestStop(): void {
    const { incarnation } = this
    if (incarnation === undefined || incarnation.stopRequested) return
    incarnation.stopRequested = true
    // outside a message there is none whose end could be awaited
    if (!this.busy) this.run(() => undefined)
  }

  /**
   * Ends the actor for good: current message, children in reverse order, `onStop`, watchers. Returns nothing if it
   * ended at once.
   */
  stop(reason: DeathReason = STOPPED): void | Promise<void> {
    if (this.state === 'stopped') return undefined
    if (this.#exit !== undefined) return this.#exit
    this.state = 'stopping'
    this.flush(reason)
    const down = this.windDown(reason, true)
    if (down === undefined) {
      this.#terminate(reason)
      return undefined
    }
    this.#exit = down.then(() => this.#terminate(reason))
    return this.#exit
  }

  /**
   * Brings the incarnation to its end: signal, current message, children, `onStop`. Leased children are left alone
   * unless this is final.
   */
  windDown(reason: DeathReason, final: boolean): Promise<void> | undefined {
    if (this.#windingDown !== undefined) {
      return final ? this.#windingDown.then(() => this.windDown(reason, final)) : this.#windingDown
    }
    const incarnation = this.incarnation
    const hasChildren = this.children !== undefined && this.children.size > 0
    if (incarnation === undefined) return undefined
    incarnation.beginEnd()
    this.#supervisor?.close()
    this.#supervisor = undefined
    if (incarnation.ended && !hasChildren) return undefined
    const runsOnStop = incarnation.started && !incarnation.ended && incarnation.hasOnStop
    if (!this.busy && !hasChildren && !runsOnStop) {
      incarnation.end(false)
      return undefined
    }
    this.#windingDown = this.#windDownSlowly(incarnation, reason, final).finally(() => {
      this.#windingDown = undefined
    })
    return this.#windingDown
  }

  async #windDownSlowly(incarnation: LocalIncarnation, reason: DeathReason, final: boolean): Promise<void> {
    if (this.busy) await this.#whenIdle()
    for (const child of [...(this.children?.values() ?? [])].reverse()) {
      if (final || child.spec.lifetime === 'linked') await child.stop()
      else child.grantLease()
    }
    if (incarnation.started && !incarnation.ended && incarnation.hasOnStop) {
      this.busy = true
      const sequence = ++incarnation.sequence
      const done = (): void => {
        if (!incarnation.ended && incarnation.sequence === sequence) this.idle()
      }
      const idle = this.#whenIdle()
      incarnation.runOnStop(reason).then(done, (error: unknown) => {
        // one that was given up has been reported
        if (!incarnation.ended) this.system.suppressed(this.path, error)
        done()
      })
      await idle
    }
    incarnation.end(false)
  }

  /** Waits for what is under way, up to `shutdownMs`; then gives it up. */
  #whenIdle(): Promise<void> {
    return new Promise(resolve => {
      const finish = (): void => {
        this.#waiting = undefined
        timer.cancel()
        resolve()
      }
      const timer = this.system.clock.after(this.spec.shutdownMs, () => {
        const waiting = this.current
        const error = stopTimeoutError(this.path, this.spec.shutdownMs)
        this.busy = false
        this.current = undefined
        this.incarnation?.end(true)
        waiting?.fail(error)
        this.system.suppressed(this.path, error)
        finish()
      })
      this.#waiting = finish
    })
  }

  /** Its parent is between two incarnations: stops unless it is adopted in time. */
  grantLease(): void {
    this.lease ??= this.system.clock.after(this.spec.leaseMs, () => {
      this.lease = undefined
      void this.stop()
    })
  }

  /** Tells the parent's supervisor that the incarnation ended; keeps it for the next one if there is none now. */
  #ended(reason: DeathReason): void {
    const { parent } = this
    const supervisor = parent?.childSupervisor()
    if (parent === undefined) this.system.rootEnded(reason)
    else if (supervisor === undefined || this.lease !== undefined) this.#unsupervisedEnd = reason
    else supervisor.childEnded(this, reason)
  }

  /** Whoever supervises the children; undefined while the incarnation ends and until the next one has begun. */
  childSupervisor(): ChildSupervisor | undefined {
    if (this.incarnation === undefined || this.incarnation.ending) return undefined
    return (this.#supervisor ??= this.system.supervise(this))
  }

  /**
   * Starts a child, or adopts the leased one of that name; resolves once it runs.
   *
   * @throws ERR_ACTOR_NAME, ERR_NAME_TAKEN, ERR_ACTOR_START, ERR_ACTOR_STOPPED, ERR_INVALID_OPTION
   */
  spawnChild(type: ActorType, options: SpawnOptions, chain: ChainLink | undefined): Cell | Promise<Cell> {
    const { name } = options
    checkActorName(name)
    // its children are being stopped, or are gone: nobody would stop this one. Bad supervision options show here too
    if (this.childSupervisor() === undefined) throw goneError(this.path, STOPPED)
    const children = (this.children ??= new Map<string, Cell>())
    const existing = children.get(name)
    if (existing !== undefined) {
      if (existing.lease !== undefined && existing.type === type && existing.state !== 'stopping')
        return existing.#adopted(this)
      throw nameTakenError(this.path, existing.path, name, existing.state)
    }
    const child = new Cell(this.system, this, name, type, options.args, compileChildSpec(options))
    children.set(name, child)
    return child.start(chain)
  }

  #adopted(parent: Cell): this {
    this.lease?.cancel()
    this.lease = undefined
    const missed = this.#unsupervisedEnd
    this.#unsupervisedEnd = undefined
    if (this.state !== 'restarting') return this
    if (missed !== undefined) parent.childSupervisor()?.childEnded(this, missed)
    else void this.#restartAdopted()
    return this
  }

  /** Its end was counted and decided on already; whoever was to restart it is no more. */
  async #restartAdopted(): Promise<void> {
    if (this.spec.restart === 'temporary') return this.stop()
    await this.windDown(STOPPED, false)
    if (this.state === 'restarting') await this.restart(STOPPED)
  }

  #terminate(reason: DeathReason): void {
    this.state = 'stopped'
    this.death = reason
    this.lease?.cancel()
    this.flush(reason)
    this.parent?.children?.delete(this.name)
    if (events.terminated.hasSubscribers) {
      events.terminated.publish({ runtime: this.system.name, path: this.path, reason })
    }
    this.tellWatchers(reason)
    if (this.#onSpawned !== undefined) this.#tellSpawner(spawnError(this.path, this.type.name, reason))
    this.#tellRestarter()
  }
}
