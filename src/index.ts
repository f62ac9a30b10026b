import 'reflect-metadata'

export { inject } from 'tsyringe'

export { Rejected, TroupeError, type ErrorCode, type ErrorData } from './errors.js'
export { Clock, Random, Scheduler, token, type Timer, type Token } from './determinism/index.js'
export {
  Actor,
  actor,
  ActorContext,
  ActorRef,
  Args,
  events,
  handles,
  Logger,
  type ActorClass,
  type ActorOptions,
  type AskOptions,
  type Counters,
  type DeathReason,
  type DeferredReply,
  type Fence,
  type HandlesOptions,
  type Isolation,
  type MailboxLimits,
  type RestartType,
  type SpawnOptions,
  type StartCause,
  type Terminated,
} from './actor/index.js'
export {
  type BackoffOptions,
  type Directive,
  type Strategy,
  type SupervisionOptions,
} from './supervision/index.js'
export { TensorData, type DType } from './wire/index.js'
export { Troupe } from './node/troupe.js'
export type { ActorView } from './node/inspect.js'
export type { Provider, TroupeOptions } from './node/options.js'
