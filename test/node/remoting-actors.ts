import { inject } from 'tsyringe'
import {
  Actor,
  actor,
  ActorContext,
  Args,
  handles,
  Rejected,
  type ActorRef,
  type DeferredReply,
  type Terminated,
} from 'troupe'

/** What the tests of remoting send messages to. */
@actor('remoting-echo')
export class Echo extends Actor {
  readonly #ctx: ActorContext
  readonly #seen: unknown[]

  constructor(@inject(ActorContext) ctx: ActorContext, @inject(Args) seen: unknown[] | undefined) {
    super()
    this.#ctx = ctx
    this.#seen = seen ?? []
  }

  @handles() note(value: unknown): void {
    this.#seen.push(value)
  }

  @handles() seen(): unknown[] {
    return this.#seen
  }

  @handles() all(...values: unknown[]): unknown[] {
    return values
  }

  @handles() nothing(): void {}

  @handles() incarnation(): number {
    return this.#ctx.incarnation
  }

  @handles({
    schema: {
      parse: value => {
        if (typeof value !== 'number') throw new TypeError('a number is wanted')
        return value * 2
      },
    },
  })
  double(value: number): number {
    return value
  }

  @handles() never(): DeferredReply<void> {
    return this.#ctx.deferReply<void>()
  }

  #held: DeferredReply<void> | undefined

  @handles() hold(): DeferredReply<void> {
    return (this.#held = this.#ctx.deferReply<void>())
  }

  @handles() release(): void {
    this.#held?.resolve()
  }

  /** Is busy until the other one is told to let it go. */
  @handles() async waitFor(other: ActorRef<Echo>): Promise<void> {
    await other.ask.hold()
  }

  @handles() refuse(): void {
    throw new Rejected('OUT_OF_STOCK', 'no more of 4711', { article: 4711 })
  }

  @handles() fail(why: string): void {
    throw new Error(why)
  }

  @handles() stop(): void {
    this.#ctx.stopSelf()
  }

  /** Asks whoever it is given, and waits for the answer. */
  @handles() async relay(to: ActorRef<Echo>, value: unknown): Promise<unknown> {
    return (await to.ask.all(value))[0]
  }

  @handles() async relayBack(to: ActorRef<Echo>, back: ActorRef<Echo>): Promise<unknown> {
    return to.ask.relay(back, 'round')
  }
}

/** Watches, and tells what it learns. */
@actor('remoting-watcher')
export class Watching extends Actor {
  readonly #ctx: ActorContext
  readonly #seen: Terminated[]

  constructor(@inject(ActorContext) ctx: ActorContext, @inject(Args) seen: Terminated[]) {
    super()
    this.#ctx = ctx
    this.#seen = seen
  }

  @handles() watch(path: string): void {
    this.#ctx.watch(this.#ctx.lookup(Echo, path))
  }

  @handles() unwatch(path: string): void {
    this.#ctx.unwatch(this.#ctx.lookup(Echo, path))
  }

  override onTerminated(terminated: Terminated): void {
    this.#seen.push(terminated)
  }
}
