import { TroupeError } from '../errors.js'
import type { Clock, Random, Timer } from '../determinism/index.js'
import type { Actor, ActorClass } from './actor.js'
import type { Cell } from './cell.js'
import type { ChainLink } from './chain.js'
import type { SpawnOptions } from './child-spec.js'
import type { ActorContext, Fence } from './context.js'
import type { DeathReason, Terminated } from './death.js'
import { LocalDeferredReply } from './local-deferred-reply.js'
import type { DeferredReply } from './deferred-reply.js'
import type { Delivery } from './delivery.js'
import type { Host } from './host.js'
import type { Logger } from './logger.js'
import { typeOf } from './protocol.js'
import { ActorRef, SpawnedRef, staleSender, type RefTarget, type Sender, type Watcher } from './ref.js'
import { ActorTimers } from './timers.js'

/** What few incarnations need: made when first asked for, so that an idle actor stays small. */
interface Extras {
  abort?: AbortController
  timers?: ActorTimers
  deferred?: Set<LocalDeferredReply<unknown>>
  /** By path: a ref names a path, and its target can change. */
  watching?: Map<string, Watch>
  random?: Random
}

/** One watched death. Ended by unwatch, or by having been told. */
interface Watch {
  readonly target: RefTarget
  /** The death waits in the mailbox. A new watch of the path is then another one, of whoever has the path now. */
  told: boolean
  ended: boolean
  /** The one that it followed while that one's death waited in the mailbox. */
  readonly before: Watch | undefined
}

/** One life of an actor between two starts: its context, and what dies with it. */
export class LocalIncarnation implements ActorContext, Sender, Watcher {
  readonly cell: Cell
  readonly number: number
  instance: Actor | undefined = undefined
  host: Host | undefined = undefined
  /** `onStart` is done. */
  started = false
  /** It is on its way out: signal aborted, timers dead; it may still act in `onStop`. */
  ending = false
  /** It may have no more effects. */
  ended = false
  stopRequested = false
  /** Counts the messages, starts and hooks that were begun; names the one under way. */
  sequence = 0
  readonly #startChain: ChainLink | undefined
  #extras: Extras | undefined = undefined

  constructor(cell: Cell, number: number, startChain: ChainLink | undefined) {
    this.cell = cell
    this.number = number
    this.#startChain = startChain
  }

  // what the cell does to it

  get hasOnStop(): boolean {
    return this.host !== undefined || this.instance?.onStop !== undefined
  }

  async runOnStop(reason: DeathReason): Promise<void> {
    await (this.host === undefined ? this.instance?.onStop?.(reason) : this.host.stop(reason))
  }

  beginEnd(): void {
    if (this.ending) return
    this.ending = true
    const extras = this.#extras
    extras?.timers?.cancelAll()
    this.host?.abort()
    extras?.abort?.abort()
  }

  end(kill: boolean): void {
    if (this.ended) return
    this.beginEnd()
    this.ended = true
    this.host?.dispose(kill)
    const extras = this.#extras
    if (extras === undefined) return
    this.#extras = extras.abort === undefined ? undefined : { abort: extras.abort }
    if (extras.watching !== undefined) for (const { target } of extras.watching.values()) target.unwatch(this)
    if (extras.deferred !== undefined) for (const reply of [...extras.deferred]) reply.lost(this.path)
  }

  link(): ChainLink | undefined {
    if (!this.cell.busy || this.ended) return undefined
    const { cell, number, sequence } = this
    return {
      get path() {
        return cell.path
      },
      incarnation: number,
      sequence,
      parent: cell.current === undefined ? (this.started ? undefined : this.#startChain) : cell.current.chain,
    }
  }

  terminated(target: RefTarget, incarnation: number, reason: DeathReason): void {
    const watch = this.#extras?.watching?.get(target.path)
    if (this.ended || watch === undefined || watch.told) return
    watch.told = true
    this.cell.run(() => {
      if (this.ended || watch.ended) return undefined
      watch.ended = true
      if (this.#extras?.watching?.get(target.path) === watch) this.#extras.watching.delete(target.path)
      const event: Terminated = { path: target.path, incarnation, reason }
      return this.host === undefined ? this.instance?.onTerminated?.(event) : this.host.terminated(event)
    })
  }

  /** The ask under way is answered later, by whoever holds the reply. */
  deferDelivery(): LocalDeferredReply<unknown> {
    const delivery = this.cell.current
    if (delivery instanceof TakenDelivery || !this.cell.busy) {
      throw new TroupeError(
        'ERR_ACTOR_TYPE',
        `${this.path} has no message under way whose reply could be deferred`,
      )
    }
    // a tell: nobody waits for the reply, and the handler need not care
    if (delivery === undefined) {
      const nobody = new TakenDelivery(undefined, undefined)
      return new LocalDeferredReply<unknown>(
        nobody,
        value => value,
        () => undefined,
      )
    }
    const deferred = (this.#own.deferred ??= new Set())
    const reply: LocalDeferredReply<unknown> = new LocalDeferredReply(
      delivery,
      value => this.#transmitted(value),
      () => deferred.delete(reply),
    )
    deferred.add(reply)
    this.cell.current = new TakenDelivery(delivery.chain, reply)
    return reply
  }

  /** What comes from a thread has travelled already. */
  #transmitted(reply: unknown): unknown {
    const { system, type } = this.cell
    if (!system.strictPayloads || this.host !== undefined) return reply
    return system.transmit(reply, false, `a reply of ${type.name}`)
  }

  // ActorContext

  get path(): string {
    return this.cell.path
  }

  get incarnation(): number {
    return this.number
  }

  get self(): ActorRef {
    return new ActorRef(this.cell, this.cell.type, this)
  }

  selfAs<A extends Actor>(type: ActorClass<A>): ActorRef<A> {
    if (!(this.cell.type.ctor === type || this.cell.type.ctor.prototype instanceof type)) {
      throw new TroupeError(
        'ERR_ACTOR_TYPE',
        `${this.path} is a ${this.cell.type.name}, not a ${typeOf(type).name}`,
      )
    }
    return new ActorRef<A>(this.cell, this.cell.type, this)
  }

  get parent(): ActorRef | undefined {
    const { parent } = this.cell
    return parent?.parent === undefined ? undefined : new ActorRef(parent, parent.type, this)
  }

  get children(): readonly ActorRef[] {
    return [...(this.cell.children?.values() ?? [])].map(child => new ActorRef(child, child.type, this))
  }

  get signal(): AbortSignal {
    const controller = (this.#own.abort ??= new AbortController())
    if (this.ending) controller.abort()
    return controller.signal
  }

  get fence(): Fence {
    return { path: this.path, incarnation: this.number }
  }

  get clock(): Clock {
    return this.cell.system.clock
  }

  get random(): Random {
    return (this.#own.random ??= this.cell.system.random.fork(`${this.path}#${this.number}`))
  }

  get log(): Logger {
    return this.cell.system.log
  }

  async spawn<A extends Actor>(type: ActorClass<A>, options: SpawnOptions): Promise<SpawnedRef<A>> {
    this.#live()
    const registered = typeOf(type)
    const child = this.cell.spawnChild(registered, options, this.link())
    return new SpawnedRef<A>(child instanceof Promise ? await child : child, registered, this)
  }

  async stop(child: ActorRef): Promise<void> {
    this.#live()
    // one that ended by itself a moment ago is gone, as it was to be
    if (!this.#isGoneChild(child.path)) await this.#child(child).stop()
  }

  kill(child: ActorRef): void {
    this.#live()
    if (!this.#isGoneChild(child.path)) this.#child(child).kill()
  }

  stopSelf(): void {
    this.#live()
    this.cell.requestStop()
  }

  watch(ref: ActorRef): void {
    this.#live()
    const { target, path } = ref
    const watching = (this.#own.watching ??= new Map())
    const before = watching.get(path)
    if (before !== undefined && !before.told) return
    watching.set(path, { target, told: false, ended: false, before })
    target.watch(this)
  }

  unwatch(ref: ActorRef): void {
    this.#live()
    const watch = this.#extras?.watching?.get(ref.path)
    if (watch === undefined) return
    this.#extras?.watching?.delete(ref.path)
    for (let at: Watch | undefined = watch; at !== undefined; at = at.before) at.ended = true
    watch.target.unwatch(this)
  }

  after(delayMs: number, callback: () => void | Promise<void>): Timer {
    this.#live()
    return this.#timers.after(delayMs, callback)
  }

  every(periodMs: number, callback: () => void | Promise<void>): Timer {
    this.#live()
    return this.#timers.every(periodMs, callback)
  }

  pipeToSelf<T>(
    work: Promise<T>,
    onValue: (value: T) => void | Promise<void>,
    onError?: (error: unknown) => void | Promise<void>,
  ): void {
    this.#live()
    const asMessage = (callback: () => unknown): void => {
      if (!this.ended) this.cell.run(() => (this.ended ? undefined : callback()))
    }
    work.then(
      value => asMessage(() => onValue(value)),
      (error: unknown) =>
        asMessage(() => {
          if (onError === undefined) throw error
          return onError(error)
        }),
    )
  }

  interject(callback: () => void): void {
    if (!this.ending) this.cell.run(() => (this.ending ? undefined : callback()))
  }

  deferReply<T>(): DeferredReply<T> {
    this.#live()
    return this.deferDelivery()
  }

  progress(): void {
    this.#live()
    this.cell.progressed = true
  }

  ref<A>(ref: ActorRef<A>): ActorRef<A> {
    this.#live()
    return ref.boundTo(this)
  }

  lookup<A extends Actor>(type: ActorClass<A>, path: string): ActorRef<A> {
    this.#live()
    return new ActorRef<A>(this.cell.system.resolve(path), typeOf(type), this)
  }

  get #own(): Extras {
    return (this.#extras ??= {})
  }

  get #timers(): ActorTimers {
    const { timers } = this.#own
    if (timers !== undefined) return timers
    const made = (this.#own.timers = new ActorTimers(this.clock, callback => this.cell.run(callback)))
    if (this.ending) made.cancelAll()
    return made
  }

  #live(): void {
    if (this.ended) throw staleSender(this)
  }

  #isGoneChild(path: string): boolean {
    const { system } = this.cell
    return path.slice(0, path.lastIndexOf('/')) === this.path && system.find(path) === undefined
  }

  #child(ref: ActorRef): Cell {
    for (const child of this.cell.children?.values() ?? [])
      if (child === ref.target || child.path === ref.path) return child
    throw new TroupeError('ERR_ACTOR_NOT_FOUND', `${ref.path} is not a child of ${this.path}`, {
      data: { path: ref.path, parent: this.path },
    })
  }
}

/**
 * Stands where a delivery was whose reply was deferred: keeps the chain, so that cycles are still seen, and tells the
 * asker if the handler fails after all.
 */
class TakenDelivery implements Delivery {
  readonly chain: ChainLink | undefined
  readonly expired = false
  readonly #reply: LocalDeferredReply<unknown> | undefined
  constructor(chain: ChainLink | undefined, reply: LocalDeferredReply<unknown> | undefined) {
    this.chain = chain
    this.#reply = reply
  }
  settle(): void {}
  fail(error: Error): void {
    this.#reply?.reject(error)
  }
}
