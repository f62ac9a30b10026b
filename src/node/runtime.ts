import 'reflect-metadata'
import { container, type DependencyContainer } from 'tsyringe'
import { Actor } from '../actor/actor.js'
import { AskDeadlines } from '../actor/ask-deadlines.js'
import { Cell } from '../actor/cell.js'
import { DEFAULT_CHILD_SPEC, type Isolation } from '../actor/child-spec.js'
import { constructActor } from '../actor/constructing.js'
import { ActorContext, Args } from '../actor/context.js'
import type { DeathReason } from '../actor/death.js'
import { Dispatcher } from '../actor/dispatcher.js'
import { events } from '../actor/events.js'
import type { Host } from '../actor/host.js'
import type { LocalIncarnation } from '../actor/local-incarnation.js'
import { Logger, SILENT } from '../actor/logger.js'
import { reservedType, type HandlerEntry } from '../actor/protocol.js'
import { ActorRef, bindArgs, type RefTarget } from '../actor/ref.js'
import type { ActorSystem, Counters } from '../actor/system.js'
import {
  Clock,
  entropySeed,
  Random,
  Scheduler,
  SeededRandom,
  SystemClock,
  SystemScheduler,
} from '../determinism/index.js'
import { Supervisor, supervisionOf } from '../supervision/index.js'
import { roundTrip, type ValueHooks } from '../wire/index.js'
import { AbsentTarget } from './absent-target.js'
import type { RuntimeOptions } from './options.js'
import { refHooks } from './ref-hooks.js'
import type { Isolating } from './isolation/carrier.js'
import { IsolatedHost } from './isolation/isolated-host.js'
import { seal, type SealedMessage } from './isolation/isolation-protocol.js'
import { PROCESS } from './isolation/process-carrier.js'
import { THREAD } from './isolation/thread-carrier.js'

class Root extends Actor {}

/** How actors are run that do not run here. */
const ISOLATING: Readonly<Record<Isolation, Isolating | undefined>> = {
  inline: undefined,
  thread: THREAD,
  process: PROCESS,
}

/** The actors of one machine and what they share. Several can live in one process: nothing here is global. */
export class Runtime implements ActorSystem {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly dispatcher: Dispatcher
  readonly deadlines: AskDeadlines
  readonly askTimeoutMs: number
  readonly strictPayloads: boolean
  readonly counters: Counters = { deadLetters: 0, lateReplies: 0, rejectedTells: 0, suppressedErrors: 0 }
  readonly root: Cell
  /** How refs travel. */
  readonly hooks: ValueHooks
  /** Constructor parameters of actors are resolved from it. */
  readonly container: DependencyContainer
  /** Set once the runtime has joined other nodes. */
  remote: ((path: string) => RefTarget) | undefined = undefined

  readonly #options: RuntimeOptions
  readonly #onEnded: (reason: DeathReason) => void
  readonly #nestedRefs = new Set<string>()
  #incarnations = 0

  constructor(options: RuntimeOptions, onEnded: (reason: DeathReason) => void) {
    this.#options = options
    this.#onEnded = onEnded
    this.name = options.name
    this.clock = options.clock ?? new SystemClock()
    this.random = options.random ?? new SeededRandom(options.seed ?? entropySeed())
    this.log = options.log ?? SILENT
    const scheduler = options.scheduler ?? new SystemScheduler()
    this.dispatcher = new Dispatcher(scheduler)
    this.deadlines = new AskDeadlines(this.clock)
    this.askTimeoutMs = options.askTimeoutMs
    this.strictPayloads = options.strictPayloads
    this.hooks = refHooks(path => this.resolve(path))
    this.container = container.createChildContainer()
    this.container.register(Clock, { useValue: this.clock })
    this.container.register(Random, { useValue: this.random })
    this.container.register(Scheduler, { useValue: scheduler })
    this.container.register(Logger, { useValue: this.log })
    for (const { token, value } of options.provide) this.container.register(token, { useValue: value })
    this.root = new Cell(this, undefined, '', reservedType(Root, '$root'), undefined, DEFAULT_CHILD_SPEC)
    void this.root.start(undefined)
  }

  nextIncarnation(): number {
    return ++this.#incarnations
  }

  construct(incarnation: LocalIncarnation): Actor {
    return constructActor(incarnation.cell.type, incarnation, this.#scopeOf)
  }

  readonly #scopeOf = (context: ActorContext): DependencyContainer => {
    const scope = this.container.createChildContainer()
    scope.register(ActorContext, { useValue: context })
    const incarnation = context as LocalIncarnation
    const args = bindArgs(incarnation.cell.args, incarnation)
    // a factory, since the container takes an undefined value for none
    scope.register(Args, { useFactory: () => args })
    return scope
  }

  host(cell: Cell): Host | undefined {
    const isolating = ISOLATING[cell.spec.isolation]
    return isolating && new IsolatedHost(cell, this, isolating)
  }

  supervise(cell: Cell): Supervisor {
    return new Supervisor(cell, cell === this.root ? this.#options.supervision : supervisionOf(cell.type))
  }

  find(path: string): Cell | undefined {
    let cell: Cell | undefined = this.root
    for (const name of path.split('/')) {
      if (name === '') continue
      cell = cell.children?.get(name)
      if (cell === undefined) return undefined
    }
    return cell
  }

  resolve(path: string): RefTarget {
    return this.find(path) ?? this.remote?.(path) ?? new AbsentTarget(this, path)
  }

  transmit(payload: unknown, packed: boolean, what: string): unknown {
    let refs = 0
    const decode: ValueHooks['decode'] = (tag, data) => {
      const value = this.hooks.decode(tag, data)
      if (value instanceof ActorRef) refs++
      return value
    }
    const args = packed ? (payload as unknown[]) : payload === undefined ? [] : [payload]
    const arrived = roundTrip(args, { ...this.hooks, decode })
    if (refs > arrived.filter(arg => arg instanceof ActorRef).length) this.#reportNestedRef(what)
    return packed ? arrived : arrived[0]
  }

  /** Once for each message: it works, but knows neither chain nor the end of who uses it. */
  #reportNestedRef(what: string): void {
    if (this.#nestedRefs.has(what)) return
    this.#nestedRefs.add(what)
    this.log.warn(
      `${what} carries a ref inside its payload, which nothing binds to its receiver: make it an argument of its own, or bind it there with ctx.ref(ref)`,
    )
  }

  seal(handler: HandlerEntry, payload: unknown, isolation: Isolation): SealedMessage {
    const args = handler.packed ? (payload as unknown[]) : payload === undefined ? [] : [payload]
    const sharesMemory = ISOLATING[isolation]?.sharesMemory === true
    return seal(handler.name, args, { hooks: this.hooks, sharesMemory })
  }

  lateReply(path: string, message: string): void {
    this.counters.lateReplies++
    if (events.lateReply.hasSubscribers) events.lateReply.publish({ runtime: this.name, path, message })
  }

  deadLetter(path: string, message: string, sender: string | undefined, cause: string): void {
    this.counters.deadLetters++
    if (events.deadLetter.hasSubscribers) {
      events.deadLetter.publish({ runtime: this.name, path, message, sender, cause })
    }
  }

  suppressed(path: string, error: unknown): void {
    this.counters.suppressedErrors++
    if (events.suppressed.hasSubscribers) events.suppressed.publish({ runtime: this.name, path, error })
    this.log.warn(`${path}: an error had nowhere to go`, { error: String(error) })
  }

  rootEnded(reason: DeathReason): void {
    this.#onEnded(reason)
  }
}
