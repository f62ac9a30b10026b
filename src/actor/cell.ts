import { Rejected, TroupeError } from '../errors.js'
import type { Timer } from '../determinism/index.js'
import { PendingAsk, type AskOptions } from './ask.js'
import { chainPaths, type ChainLink } from './chain.js'
import { compileChildSpec, type ChildSpec, type SpawnOptions } from './child-spec.js'
import { KILLED, SPAWNED, STOPPED, type DeathReason, type StartCause } from './death.js'
import type { Delivery } from './delivery.js'
import type { Runnable } from './dispatcher.js'
import { events } from './events.js'
import { LocalIncarnation } from './local-incarnation.js'
import { Mailbox, payloadBytes } from './mailbox.js'
import { checkActorName } from './name.js'
import type { ActorType, HandlerEntry } from './protocol.js'
import { bindRefs, type RefTarget, type Sender, type Watcher } from './ref.js'
import type { ChildSupervisor } from './supervision-port.js'
import type { ActorSystem } from './system.js'

/** `placing`: not yet given to a place to run; `restarting`: between two incarnations, backoff included. */
export type CellState = 'placing' | 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped'

/** A callback as a message: timers, piped results, deaths. Ignores the mailbox's bounds. */
const RUN: HandlerEntry = {
  name: '$run',
  packed: false,
  schema: undefined,
  invoke: callback => (callback as () => unknown)(),
  get several() {
    return RUN
  },
}

/**
 * What stays of an actor over its restarts: its place in the tree, its mailbox, its watchers. The instance lives in the
 * current incarnation, for an isolated actor behind a host. Everything here is synchronous where nothing has to be
 * waited for, so that spawning and stopping cost microseconds.
 */
export class Cell implements RefTarget, Runnable {
  readonly system: ActorSystem
  readonly parent: Cell | undefined
  readonly name: string
  readonly type: ActorType
  readonly args: unknown
  readonly spec: ChildSpec

  state: CellState = 'placing'
  incarnation: LocalIncarnation | undefined
  /** In the order they were started. */
  children: Map<string, Cell> | undefined
  restarts = 0
  lastFailure: unknown
  /** A message, a start or a hook is under way. */
  busy = false
  /** The delivery of the message under way. */
  current: Delivery | undefined
  /** Real work was reported since the last kill or loss of a node. */
  progressed = false
  supervisor: ChildSupervisor | undefined
  /** A leased child between two incarnations of its parent. */
  lease: Timer | undefined
  /** How a leased child ended while nobody supervised it. */
  unsupervisedEnd: DeathReason | undefined

  #mailbox: Mailbox | undefined
  #scheduled = false
  #watchers: Set<Watcher> | undefined
  #onStarted: ((error: unknown) => void) | undefined
  #onIdle: (() => void) | undefined
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
    this.system = system
    this.parent = parent
    this.name = name
    this.type = type
    this.args = args
    this.spec = spec
  }

  get path(): string {
    if (this.parent === undefined) return '/'
    return this.parent.parent === undefined ? `/${this.name}` : `${this.parent.path}/${this.name}`
  }

  get mailboxMessages(): number {
    return this.#mailbox?.size ?? 0
  }

  get mailboxBytes(): number {
    return this.#mailbox?.bytes ?? 0
  }

  // messages

  tell(handler: HandlerEntry, payload: unknown, sender: Sender | undefined): void {
    if (this.state === 'stopping' || this.state === 'stopped') {
      const successor = this.#successor()
      if (successor === undefined) this.#deadLetter(handler, sender, 'the actor has stopped')
      else successor.tell(handler, payload, sender)
      return
    }
    if (!this.enqueue(handler, this.#outgoing(handler, payload), undefined))
      this.#deadLetter(handler, sender, 'the mailbox is full')
  }

  ask(
    handler: HandlerEntry,
    payload: unknown,
    options: AskOptions | undefined,
    sender: Sender | undefined,
  ): Promise<unknown> {
    if (this.state === 'stopped') {
      const successor = this.#successor()
      if (successor !== undefined) return successor.ask(handler, payload, options, sender)
    }
    const ask = new PendingAsk(this.system, this, handler.name, options, sender?.link())
    if (ask.settled) return ask.promise
    try {
      this.deliver(handler, this.#outgoing(handler, payload), ask)
    } catch (error) {
      ask.fail(error as Error)
    }
    return ask.promise
  }

  /** What goes into the mailbox: the payload itself, or for an isolated actor a frame, refused here if it cannot be one. */
  #outgoing(handler: HandlerEntry, payload: unknown): unknown {
    if (this.spec.isolation !== 'inline') return this.system.seal(handler, payload)
    return this.system.strictPayloads ? this.system.transmit(payload, handler.packed) : payload
  }

  /** Takes an ask, a local one or one that came from elsewhere; what stands in its way is its failure. */
  deliver(handler: HandlerEntry, payload: unknown, delivery: Delivery): void {
    if (this.state === 'stopping' || this.state === 'stopped') delivery.fail(this.#goneError(STOPPED))
    else if (delivery.chain !== undefined && this.#waitsFor(delivery.chain)) {
      const paths = [...chainPaths(delivery.chain), this.path]
      delivery.fail(
        new TroupeError(
          'ERR_ASK_CYCLE',
          `the ask '${handler.name}' came back to an actor that waits: ${paths.join(' → ')}`,
          {
            data: { chain: paths },
          },
        ),
      )
    } else if (!this.enqueue(handler, payload, delivery)) {
      delivery.fail(this.#fullError(handler))
    }
  }

  /** Puts a message into the mailbox; false if that would break its bounds. */
  enqueue(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): boolean {
    const mailbox = (this.#mailbox ??= new Mailbox())
    const bytes = payloadBytes(payload, handler.packed)
    if (mailbox.size >= this.spec.maxMessages || mailbox.bytes + bytes > this.spec.maxBytes) return false
    mailbox.push(handler, payload, delivery, bytes)
    this.#wake()
    return true
  }

  /** Runs a callback as a message, whatever the mailbox holds. */
  run(callback: () => unknown): void {
    ;(this.#mailbox ??= new Mailbox()).push(RUN, callback, undefined, 0)
    this.#wake()
  }

  get runnable(): boolean {
    return this.#scheduled
  }

  drain(budget: number): number {
    const mailbox = this.#mailbox
    let handled = 0
    if (mailbox !== undefined) {
      while (handled < budget && mailbox.size > 0 && this.state === 'running' && !this.busy) {
        mailbox.take()
        handled++
        const delivery = mailbox.delivery
        if (delivery === undefined || !delivery.expired) {
          this.#handle(mailbox.handler as HandlerEntry, mailbox.payload, delivery)
        }
      }
      this.#scheduled = mailbox.size > 0 && this.state === 'running' && !this.busy
    } else this.#scheduled = false
    return handled
  }

  #wake(): void {
    if (this.#scheduled || this.busy || this.state !== 'running') return
    this.#scheduled = true
    this.system.dispatcher.schedule(this)
  }

  #handle(handler: HandlerEntry, payload: unknown, delivery: Delivery | undefined): void {
    const incarnation = this.incarnation as LocalIncarnation
    const sequence = ++incarnation.sequence
    this.busy = true
    this.current = delivery
    let result: unknown
    try {
      if (typeof payload === 'object' && payload !== null)
        payload = bindRefs(payload, handler.packed, incarnation)
      result =
        incarnation.host === undefined || handler === RUN
          ? handler.invoke.call(incarnation.instance as never, payload)
          : incarnation.host.invoke(handler, payload, delivery)
    } catch (error) {
      this.#threw(incarnation, sequence, delivery, error)
      return
    }
    if (
      typeof result === 'object' &&
      result !== null &&
      typeof (result as PromiseLike<unknown>).then === 'function'
    ) {
      ;(result as PromiseLike<unknown>).then(
        value => this.#completed(incarnation, sequence, delivery, value),
        (error: unknown) => this.#threw(incarnation, sequence, delivery, error),
      )
    } else this.#completed(incarnation, sequence, delivery, result)
  }

  #completed(
    incarnation: LocalIncarnation,
    sequence: number,
    delivery: Delivery | undefined,
    value: unknown,
  ): void {
    // an ended incarnation, or one that the cell gave up waiting for, has no effects
    if (incarnation.ended || incarnation.sequence !== sequence) return
    // a handler that deferred its reply has put something else in the delivery's place
    if (delivery !== undefined && this.current === delivery) {
      let reply = value
      if (this.system.strictPayloads && incarnation.host === undefined) {
        try {
          reply = this.system.transmit(value, false)
        } catch (error) {
          this.#threw(incarnation, sequence, delivery, error)
          return
        }
      }
      delivery.settle(reply)
    }
    this.#idle()
  }

  #threw(
    incarnation: LocalIncarnation,
    sequence: number,
    delivery: Delivery | undefined,
    error: unknown,
  ): void {
    if (incarnation.ended || incarnation.sequence !== sequence) return
    const waiting = this.current === delivery ? delivery : undefined
    if (error instanceof Rejected) {
      if (waiting !== undefined) waiting.fail(error)
      else this.#rejectedTell(error)
      this.#idle()
      return
    }
    waiting?.fail(this.#failedError(error))
    this.failed(error)
  }

  #idle(): void {
    this.busy = false
    this.current = undefined
    if (this.#onIdle !== undefined) this.#onIdle()
    else if (this.incarnation?.stopRequested === true && this.state === 'running') {
      this.state = 'restarting'
      this.#ended(STOPPED)
    } else if (this.#mailbox !== undefined && this.#mailbox.size > 0) this.#wake()
  }

  #waitsFor(chain: ChainLink): boolean {
    if (!this.busy || this.incarnation === undefined) return false
    const { number, sequence } = this.incarnation
    for (let at: ChainLink | undefined = chain; at !== undefined; at = at.parent) {
      if (at.incarnation === number && at.sequence === sequence && at.path === this.path) return true
    }
    return false
  }

  // life

  /**
   * Starts an incarnation. `onStarted` is called once: with undefined when it runs, else with what stood in the way.
   * A first start that fails leaves nothing; a later one is the supervisor's to decide.
   */
  start(cause: StartCause, chain: ChainLink | undefined, onStarted: (error: unknown) => void): void {
    this.state = 'starting'
    this.#onStarted = onStarted
    const incarnation = new LocalIncarnation(this, this.system.nextIncarnation(), chain)
    this.incarnation = incarnation
    this.busy = true
    const sequence = ++incarnation.sequence
    let starting: void | Promise<void>
    try {
      incarnation.host = this.system.host(this)
      if (incarnation.host !== undefined) starting = incarnation.host.start(cause)
      else {
        incarnation.instance = this.system.construct(incarnation, this)
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
        events.started.publish({
          runtime: this.system.name,
          path: this.path,
          incarnation: incarnation.number,
          cause,
        })
      }
      this.#tellStarter(undefined)
    }
    this.#idle()
  }

  #startFailed(incarnation: LocalIncarnation, sequence: number, error: unknown): void {
    if (incarnation.ended || incarnation.sequence !== sequence) return
    if (this.state === 'starting' && this.restarts === 0) {
      // nobody has it yet: its starter gets the error, and nothing stays
      this.busy = false
      this.lastFailure = error
      this.#tellStarter(
        new TroupeError('ERR_ACTOR_START', `${this.path} (${this.type.name}) failed to start`, {
          data: { path: this.path, type: this.type.name },
          cause: error,
        }),
      )
      void this.stop({ kind: 'failed', cause: error })
    } else this.failed(error)
  }

  #tellStarter(error: unknown): void {
    const onStarted = this.#onStarted
    this.#onStarted = undefined
    onStarted?.(error)
  }

  /** The current incarnation failed: a handler or hook threw, or its thread ended. */
  failed(cause: unknown): void {
    this.lastFailure = cause
    if (this.state === 'stopping') {
      this.#idle()
      return
    }
    const waiting = this.current
    const { incarnation } = this
    // what is still under way in it must not be taken for the next message's end
    if (incarnation !== undefined) incarnation.sequence++
    this.busy = false
    this.current = undefined
    this.state = 'restarting'
    waiting?.fail(this.#failedError(cause))
    if (events.failed.hasSubscribers) {
      events.failed.publish({
        runtime: this.system.name,
        path: this.path,
        incarnation: incarnation?.number,
        cause,
      })
    }
    this.#ended({ kind: 'failed', cause })
    this.#tellStarter(cause)
  }

  /** Ends the incarnation at once and without its hooks; the supervisor decides what follows. */
  kill(reason: DeathReason = KILLED): void {
    if (this.state === 'stopped') return
    const waiting = this.current
    this.busy = false
    this.current = undefined
    this.incarnation?.end(true)
    waiting?.fail(this.#goneError(reason))
    if (this.state === 'stopping') {
      this.#onIdle?.()
      return
    }
    // between two incarnations there is nothing to kill
    if (this.state === 'restarting') return
    if (this.state === 'starting' && this.restarts === 0) {
      void this.stop(reason)
      return
    }
    this.state = 'restarting'
    this.#ended(reason)
    this.#tellStarter(this.#goneError(reason))
  }

  /** No more messages until it is started again: its group is about to be restarted. */
  suspend(): void {
    if (this.state === 'running' || this.state === 'starting') this.state = 'restarting'
  }

  /** After a failure that the supervisor forgives: same instance, next message. */
  resume(): void {
    this.state = 'running'
    this.#idle()
  }

  /** Starts the next incarnation, after {@link windDown}. Resolves when it runs, or has failed and was reported. */
  restart(reason: DeathReason): Promise<void> {
    this.restarts++
    return new Promise(resolve => {
      this.start({ kind: 'restarted', reason, restarts: this.restarts }, undefined, () => resolve())
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
    this.#flush(reason)
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
    if (incarnation === undefined || (incarnation.ended && !hasChildren)) return undefined
    incarnation.beginEnd()
    this.supervisor?.close()
    this.supervisor = undefined
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
        if (!incarnation.ended && incarnation.sequence === sequence) this.#idle()
      }
      const idle = this.#whenIdle()
      incarnation.runOnStop(reason).then(done, (error: unknown) => {
        this.system.suppressed(this.path, error)
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
        this.#onIdle = undefined
        timer.cancel()
        resolve()
      }
      const timer = this.system.clock.after(this.spec.shutdownMs, () => {
        const waiting = this.current
        const error = new TroupeError(
          'ERR_STOP_TIMEOUT',
          `${this.path} was still busy ${this.spec.shutdownMs} ms after it was asked to stop`,
          { data: { path: this.path, shutdownMs: this.spec.shutdownMs } },
        )
        this.busy = false
        this.current = undefined
        this.incarnation?.end(true)
        waiting?.fail(error)
        this.system.suppressed(this.path, error)
        finish()
      })
      this.#onIdle = finish
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
    const parent = this.parent
    if (parent === undefined) this.system.rootEnded(reason)
    else {
      const supervisor = parent.childSupervisor()
      if (supervisor === undefined) this.unsupervisedEnd = reason
      else supervisor.childEnded(this, reason)
    }
  }

  /** Whoever supervises the children; undefined while the incarnation ends and until the next one has begun. */
  childSupervisor(): ChildSupervisor | undefined {
    if (this.incarnation === undefined || this.incarnation.ending) return undefined
    return (this.supervisor ??= this.system.supervise(this))
  }

  /**
   * Starts a child, or adopts the leased one of that name; resolves once it runs.
   *
   * @throws ERR_ACTOR_NAME, ERR_NAME_TAKEN, ERR_ACTOR_START
   */
  spawnChild(type: ActorType, options: SpawnOptions, chain: ChainLink | undefined): Promise<Cell> {
    const { name } = options
    checkActorName(name)
    const children = (this.children ??= new Map())
    const existing = children.get(name)
    if (existing !== undefined) {
      if (existing.lease !== undefined && existing.type === type)
        return Promise.resolve(existing.#adopted(this))
      throw new TroupeError(
        'ERR_NAME_TAKEN',
        `${this.path} already has a child named '${name}' (${existing.state})`,
        {
          data: { path: existing.path, state: existing.state },
        },
      )
    }
    const child = new Cell(this.system, this, name, type, options.args, compileChildSpec(options))
    children.set(name, child)
    return new Promise((resolve, reject) => {
      child.start(SPAWNED, chain, error => {
        if (error === undefined) resolve(child)
        else reject(error as Error)
      })
    })
  }

  #adopted(parent: Cell): this {
    this.lease?.cancel()
    this.lease = undefined
    const missed = this.unsupervisedEnd
    this.unsupervisedEnd = undefined
    if (missed !== undefined) parent.childSupervisor()?.childEnded(this, missed)
    return this
  }

  #terminate(reason: DeathReason): void {
    this.state = 'stopped'
    this.lease?.cancel()
    this.#flush(reason)
    this.parent?.children?.delete(this.name)
    if (events.terminated.hasSubscribers) {
      events.terminated.publish({ runtime: this.system.name, path: this.path, reason })
    }
    const watchers = this.#watchers
    this.#watchers = undefined
    if (watchers !== undefined) {
      for (const watcher of watchers) watcher.terminated(this, this.incarnation?.number ?? 0, reason)
    }
    this.#tellStarter(this.#goneError(reason))
  }

  // watching

  watch(watcher: Watcher): void {
    if (this.state === 'stopped') {
      const successor = this.#successor()
      if (successor !== undefined) successor.watch(watcher)
      else watcher.terminated(this, this.incarnation?.number ?? 0, this.#deathReason())
      return
    }
    ;(this.#watchers ??= new Set()).add(watcher)
  }

  unwatch(watcher: Watcher): void {
    this.#watchers?.delete(watcher)
    if (this.state === 'stopped') this.#successor()?.unwatch(watcher)
  }

  // what stays undelivered

  /** A ref names a path: once this actor is gone, whoever has the name now is meant. */
  #successor(): Cell | undefined {
    if (this.state !== 'stopped') return undefined
    const found = this.system.find(this.path)
    return found === this ? undefined : found
  }

  #flush(reason: DeathReason): void {
    const mailbox = this.#mailbox
    if (mailbox === undefined) return
    while (mailbox.size > 0) {
      mailbox.take()
      if (mailbox.delivery?.expired === true) continue
      if (mailbox.delivery !== undefined) mailbox.delivery.fail(this.#goneError(reason))
      else if (mailbox.handler !== RUN)
        this.#deadLetter(mailbox.handler as HandlerEntry, undefined, 'the actor has stopped')
    }
  }

  #deadLetter(handler: HandlerEntry, sender: Sender | undefined, cause: string): void {
    this.system.deadLetter(this.path, handler.name, sender?.path, cause)
  }

  #rejectedTell(error: Rejected): void {
    this.system.counters.rejectedTells++
    if (events.rejectedTell.hasSubscribers) {
      events.rejectedTell.publish({
        runtime: this.system.name,
        path: this.path,
        code: error.code,
        message: error.message,
      })
    }
  }

  #deathReason(): DeathReason {
    return this.lastFailure === undefined ? STOPPED : { kind: 'failed', cause: this.lastFailure }
  }

  #failedError(cause: unknown): TroupeError {
    return new TroupeError('ERR_ACTOR_FAILED', `${this.path} failed while it handled the message`, {
      data: { path: this.path },
      cause,
    })
  }

  #goneError(reason: DeathReason): TroupeError {
    if (reason.kind === 'failed') return this.#failedError(reason.cause)
    if (reason.kind === 'killed') {
      return new TroupeError('ERR_ACTOR_FAILED', `${this.path} was killed`, {
        data: { path: this.path, reason: 'killed' },
      })
    }
    return new TroupeError('ERR_ACTOR_STOPPED', `${this.path} has stopped`, { data: { path: this.path } })
  }

  #fullError(handler: HandlerEntry): TroupeError {
    const { maxMessages, maxBytes } = this.spec
    return new TroupeError(
      'ERR_MAILBOX_FULL',
      `the mailbox of ${this.path} has no room for '${handler.name}': ${this.mailboxMessages} of ${maxMessages} messages, ${this.mailboxBytes} of ${maxBytes} bytes`,
      {
        data: {
          path: this.path,
          messages: this.mailboxMessages,
          maxMessages,
          bytes: this.mailboxBytes,
          maxBytes,
        },
      },
    )
  }
}
