import { container, type DependencyContainer } from 'tsyringe'
import { TroupeError } from '../../errors.js'
import { Clock, Random, SeededRandom, SystemClock, type Timer } from '../../determinism/index.js'
import type { Actor, ActorClass } from '../../actor/actor.js'
import type { ChainLink } from '../../actor/chain.js'
import type { SpawnOptions } from '../../actor/child-spec.js'
import { constructActor } from '../../actor/constructing.js'
import { ActorContext, Args, type Fence } from '../../actor/context.js'
import type { Terminated } from '../../actor/death.js'
import type { DeferredReply } from '../../actor/deferred-reply.js'
import { typeOfName } from '../../actor/foreign-type.js'
import { inbound, type Inbound } from '../../actor/inbound.js'
import { forwardingLogger, Logger } from '../../actor/logger.js'
import { typeOf, type ActorType } from '../../actor/protocol.js'
import { ActorRef, SpawnedRef, bindArgs, bindRefs, type RefTarget, type Sender } from '../../actor/ref.js'
import { checkDelay, checkPeriod } from '../../actor/timers.js'
import { refHooks } from '../ref-hooks.js'
import { isPromiseLike } from '../../actor/message-cell.js'
import { IsolatedDeferredReply } from './isolated-deferred-reply.js'
import type { HostChannel } from './host-channel.js'
import { isolatedTarget, type HostLine } from './isolated-target.js'
import {
  seal,
  packError,
  packValue,
  type SealedMessage,
  unseal,
  unpackCause,
  unpackError,
  unpackReason,
  type ActorName,
  type Crossing,
  type ReasonData,
  type StartBody,
  type TerminatedBody,
  type IsolationMessage,
  type IsolationTag,
} from './isolation-protocol.js'

/**
 * An isolated actor's incarnation, in its thread or process: the instance and its context. Whatever the context does is
 * asked of the host, where the cell is. It never outlives its incarnation, since the thread or process does not.
 */
export class IsolatedIncarnation implements ActorContext, Sender {
  readonly path: string
  readonly incarnation: number
  readonly ended = false
  readonly clock: Clock = new SystemClock()
  readonly random: Random
  readonly log: Logger
  readonly #type: ActorType
  readonly #parent: ActorName | undefined
  readonly #children = new Map<string, ActorName>()
  readonly #channel: HostChannel
  readonly #abort = new AbortController()
  readonly #crossing: Crossing
  readonly #line: HostLine
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #callbacks = new Map<number, { run: () => unknown; once: boolean }>()
  #instance: Actor | undefined
  /** Of the message under way: what became of its reply. */
  #reply: 'none' | 'unasked' | 'awaited' | 'deferred' = 'none'
  #lastId = 0
  /** Messages and hooks that are not done: the cell sends one at a time. */
  #underWay = 0
  readonly #interjected: (() => void)[] = []
  #progressed = false

  constructor(type: ActorType, body: StartBody, channel: HostChannel) {
    this.path = body.path
    this.incarnation = body.incarnation
    this.random = new SeededRandom(body.seed)
    this.#type = type
    this.#parent = body.parent
    for (const child of body.children) this.#children.set(child.path, child)
    this.#channel = channel
    this.#crossing = { hooks: refHooks(path => this.#target(path)), sharesMemory: channel.sharesMemory }
    this.#line = {
      crossing: this.#crossing,
      nextId: () => ++this.#lastId,
      request: (tag, body, id) => this.#request(tag, body, id),
      send: (tag, id, data) => this.#send(tag, id, data),
    }
    this.log = forwardingLogger((level, message, fields) => this.#send('log', 0, [level, message, fields]))
  }

  // what the host does to it

  start(id: number, { args, cause }: StartBody): void {
    this.#answer(id, () => {
      const bound = bindArgs(unseal(args, this.#crossing).args[0], this)
      this.#instance = constructActor(this.#type, this, () => this.#scope(bound))
      return this.#instance.onStart?.(unpackCause(cause))
    })
  }

  handle([tag, id, body]: IsolationMessage): void {
    switch (tag) {
      case 'tell':
      case 'ask':
        this.#message(id, tag === 'ask', body as SealedMessage)
        break
      case 'terminated':
        this.#answer(id, () => {
          this.#reply = 'unasked'
          const { path, incarnation, reason } = body as TerminatedBody
          const terminated: Terminated = { path, incarnation, reason: unpackReason(reason) }
          return this.#instance?.onTerminated?.(terminated)
        })
        break
      case 'callback':
        this.#answer(id, () => {
          this.#reply = 'unasked'
          const callback = this.#callbacks.get(body as number)
          if (callback?.once === true) this.#callbacks.delete(body as number)
          return callback?.run()
        })
        break
      case 'stop':
        this.#answer(id, () => this.#instance?.onStop?.(unpackReason(body as ReasonData)))
        break
      case 'ping':
        this.#send('value', id)
        break
      case 'abort':
        this.#abort.abort()
        break
      case 'child-gone':
        this.#children.delete(body as string)
        break
      case 'value':
        this.#take(id)?.resolve(body)
        break
      case 'error':
        this.#take(id)?.reject(unpackError(body))
        break
      default:
        throw new TroupeError('ERR_INTERNAL', `a host sent '${tag}'`)
    }
  }

  /** A message that its class does not know, or that its schema refuses, is the sender's error: the actor lives. */
  #message(id: number, asked: boolean, sealed: SealedMessage): void {
    let message: Inbound
    try {
      const { name, args } = unseal(sealed, this.#crossing)
      message = inbound(this.#type, name, args)
    } catch (error) {
      this.#send('refused', id, packError(error, this.#crossing))
      return
    }
    const { handler, payload } = message
    this.#answer(id, () => {
      this.#reply = asked ? 'awaited' : 'unasked'
      return handler.invoke.call(this.#instance as Actor, bindRefs(payload, handler.packed, this))
    })
  }

  /** The chain of asks is kept by the host, which knows what is under way. */
  link(): ChainLink | undefined {
    return undefined
  }

  // ActorContext

  get self(): ActorRef {
    return new ActorRef(this.#target(this.path), this.#type, this)
  }

  selfAs<A extends Actor>(type: ActorClass<A>): ActorRef<A> {
    if (!(this.#instance instanceof type)) {
      throw new TroupeError(
        'ERR_ACTOR_TYPE',
        `${this.path} is a ${this.#type.name}, not a ${typeOf(type).name}`,
      )
    }
    return new ActorRef<A>(this.#target(this.path), this.#type, this)
  }

  get parent(): ActorRef | undefined {
    return this.#parent === undefined ? undefined : this.#refTo(this.#parent)
  }

  get children(): readonly ActorRef[] {
    return [...this.#children.values()].map(child => this.#refTo(child))
  }

  get signal(): AbortSignal {
    // code that blocks the event loop learns of the end here: no message reaches it
    if (Atomics.load(this.#channel.control, 0) !== 0) this.#abort.abort()
    return this.#abort.signal
  }

  get fence(): Fence {
    return { path: this.path, incarnation: this.incarnation }
  }

  async spawn<A extends Actor>(type: ActorClass<A>, options: SpawnOptions): Promise<SpawnedRef<A>> {
    const registered = typeOf(type)
    const { args, ...rest } = options
    const body = {
      type: registered.name,
      module: registered.module,
      options: rest,
      args: seal('', [args], this.#crossing),
    }
    const child = (await this.#request('spawn', body)) as ActorName
    this.#children.set(child.path, child)
    return new SpawnedRef<A>(this.#target(child.path), registered, this)
  }

  async stop(child: ActorRef): Promise<void> {
    await this.#request('stop-child', child.path)
  }

  kill(child: ActorRef): void {
    this.#send('kill-child', 0, child.path)
  }

  stopSelf(): void {
    this.#send('stop-self', 0)
  }

  watch(ref: ActorRef): void {
    this.#send('watch', 0, ref.path)
  }

  unwatch(ref: ActorRef): void {
    this.#send('unwatch', 0, ref.path)
  }

  after(delayMs: number, callback: () => void | Promise<void>): Timer {
    checkDelay(delayMs)
    return this.#timer('after', delayMs, callback)
  }

  every(periodMs: number, callback: () => void | Promise<void>): Timer {
    checkPeriod(periodMs)
    return this.#timer('every', periodMs, callback)
  }

  pipeToSelf<T>(
    work: Promise<T>,
    onValue: (value: T) => void | Promise<void>,
    onError?: (error: unknown) => void | Promise<void>,
  ): void {
    work.then(
      value => this.#runSoon(() => onValue(value)),
      (error: unknown) =>
        this.#runSoon(() => {
          if (onError === undefined) throw error
          return onError(error)
        }),
    )
  }

  interject(callback: () => void): void {
    this.#interjected.push(callback)
    if (this.#underWay === 0) this.#runInterjected()
  }

  deferReply<T>(): DeferredReply<T> {
    const waiting = this.#reply
    if (waiting === 'none' || waiting === 'deferred') {
      throw new TroupeError(
        'ERR_ACTOR_TYPE',
        `${this.path} has no message under way whose reply could be deferred`,
      )
    }
    // a tell: nobody waits for the reply, and the handler need not care
    if (waiting === 'unasked') return IsolatedDeferredReply.forNobody<T>()
    this.#reply = 'deferred'
    const id = ++this.#lastId
    this.#send('defer', id)
    return new IsolatedDeferredReply<T>(
      value => this.#send('settle-value', id, packValue(value, this.#crossing)),
      error => this.#send('settle-error', id, packError(error, this.#crossing)),
    )
  }

  progress(): void {
    if (this.#progressed) return
    // the cell keeps it until the incarnation ends
    this.#progressed = true
    this.#send('progress', 0)
  }

  ref<A>(ref: ActorRef<A>): ActorRef<A> {
    return ref.boundTo(this)
  }

  lookup<A extends Actor>(type: ActorClass<A>, path: string): ActorRef<A> {
    return new ActorRef<A>(this.#target(path), typeOf(type), this)
  }

  // plumbing

  #target(path: string): RefTarget {
    return isolatedTarget(this.#line, path)
  }

  #refTo({ path, type }: ActorName): ActorRef {
    return new ActorRef(this.#target(path), typeOfName(type), this)
  }

  #timer(tag: 'after' | 'every', ms: number, callback: () => unknown): Timer {
    const id = ++this.#lastId
    this.#callbacks.set(id, { run: callback, once: tag === 'after' })
    this.#send(tag, id, ms)
    return {
      cancel: () => {
        if (this.#callbacks.delete(id)) this.#send('cancel', id)
      },
      // the way to the host keeps the thread or process alive
      hold: () => undefined,
    }
  }

  #runSoon(run: () => unknown): void {
    const id = ++this.#lastId
    this.#callbacks.set(id, { run, once: true })
    this.#send('run', id)
  }

  #request(tag: IsolationTag, body: unknown, id = ++this.#lastId): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#send(tag, id, body)
    })
  }

  #take(id: number) {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  #send(tag: IsolationTag, id: number, body?: unknown): void {
    this.#channel.post([tag, id, body])
  }

  #runInterjected(): void {
    if (this.signal.aborted) return
    for (const callback of this.#interjected.splice(0)) {
      try {
        callback()
      } catch (error) {
        this.#runSoon(() => {
          throw error
        })
      }
    }
  }

  #answer(id: number, work: () => unknown): void {
    this.#underWay += 1
    const end = (): void => {
      this.#underWay -= 1
      this.#reply = 'none'
    }
    const fail = (error: unknown): void => {
      end()
      this.#send('error', id, packError(error, this.#crossing))
      // whether the actor lives on the cell knows
      for (const callback of this.#interjected.splice(0)) this.#runSoon(callback)
    }
    const done = (value: unknown): void => {
      let body: unknown
      try {
        // a deferred reply is settled on its own way
        body = value instanceof IsolatedDeferredReply ? undefined : packValue(value, this.#crossing)
      } catch (error) {
        fail(error)
        return
      }
      end()
      this.#send('value', id, body)
      this.#runInterjected()
    }
    try {
      const result = work()
      if (isPromiseLike(result)) result.then(done, fail)
      else done(result)
    } catch (error) {
      fail(error)
    }
  }

  #scope(args: unknown): DependencyContainer {
    const scope = container.createChildContainer()
    scope.register(Clock, { useValue: this.clock })
    scope.register(Random, { useValue: this.random })
    scope.register(Logger, { useValue: this.log })
    scope.register(ActorContext, { useValue: this })
    // a factory, since the container takes an undefined value for none
    scope.register(Args, { useFactory: () => args })
    return scope
  }
}
