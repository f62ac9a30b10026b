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
export { consistentHash, leastLoaded, roundRobin } from './actor/route.js'
export { WorkPool, type WorkerClass, type WorkPoolArgs } from './actor/work-pool.js'
export {
  type BackoffOptions,
  type Directive,
  type Strategy,
  type SupervisionOptions,
} from './supervision/index.js'
export { TensorData, type DType } from './wire/index.js'
export { Troupe } from './node/troupe.js'
export type { ActorView } from './node/inspect.js'
export type { ShutdownPhase, ShutdownTask } from './node/shutdown.js'
export type { Provider, TroupeOptions } from './node/options.js'
export {
  arrays,
  idx,
  loadDataset,
  type ArraysOptions,
  type DatasetDescriptor,
  type IdxOptions,
  type LoadedRows,
  type RowRange,
} from './data/index.js'
export { defineJob, type JobDefinition, type JobOptions } from './program/job-definition.js'
export type { Batch, DatasetOptions, JobContext } from './program/job-context.js'
