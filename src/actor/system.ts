import type { Clock, Random } from '../determinism/index.js'
import type { Actor } from './actor.js'
import type { AskDeadlines } from './ask-deadlines.js'
import type { AskEnvironment } from './ask.js'
import type { Cell } from './cell.js'
import type { Isolation } from './child-spec.js'
import type { DeathReason } from './death.js'
import type { Dispatcher } from './dispatcher.js'
import type { Host } from './host.js'
import type { LocalIncarnation } from './local-incarnation.js'
import type { Logger } from './logger.js'
import type { HandlerEntry } from './protocol.js'
import type { RefTarget } from './ref.js'
import type { ChildSupervisor } from './supervision-port.js'

/** Counts of what was lost or came too late. They only grow. */
export interface Counters {
  deadLetters: number
  lateReplies: number
  rejectedTells: number
  suppressedErrors: number
}

/** What cells need of the runtime that they live in. The node layer implements it. */
export interface ActorSystem extends AskEnvironment {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly dispatcher: Dispatcher
  readonly deadlines: AskDeadlines
  readonly counters: Counters
  readonly root: Cell
  /** Freeze payloads and send them through the codec, so that what works inline works remotely. */
  readonly strictPayloads: boolean
  /** Numbers incarnations; grows. */
  nextIncarnation(): number
  /** Constructs an actor, its constructor parameters injected. */
  construct(incarnation: LocalIncarnation): Actor
  /** The host of an isolated actor's next incarnation; undefined for one that runs inline. */
  host(cell: Cell): Host | undefined
  /** Supervises the children of one incarnation. */
  supervise(cell: Cell): ChildSupervisor
  /** The live local actor of a path. */
  find(path: string): Cell | undefined
  /** A stand-in for the actor of a path on another node; absent where there is none. */
  readonly remote: ((path: string) => RefTarget) | undefined
  /** Where messages to a path go: a local cell, or a stand-in for one elsewhere. */
  resolve(path: string): RefTarget
  /** A payload as it would arrive after a journey: for strictPayloads. `what` names it in reports. Throws ERR_PAYLOAD. */
  transmit(payload: unknown, packed: boolean, what: string): unknown
  /** A message for an isolated actor as its host takes it. Throws ERR_PAYLOAD, ERR_SHARED_MEMORY. */
  seal(handler: HandlerEntry, payload: unknown, isolation: Isolation): unknown
  deadLetter(path: string, message: string, sender: string | undefined, cause: string): void
  suppressed(path: string, error: unknown): void
  /** The root gave up, or a significant top-level actor ended: so does the whole runtime. */
  rootEnded(reason: DeathReason): void
}
