import 'reflect-metadata'

import { container } from 'tsyringe'
import { CheckpointPlaces } from './checkpoint/index.js'
import { HdfsPlaces } from './hdfs/index.js'
import { atomicBells, Bells } from './training/bell.js'
import { Compute } from './program/compute.js'
import { ThreadCompute } from './program/thread-compute.js'

export { inject } from 'tsyringe'

export {
  causalChain,
  describe,
  hasCode,
  Rejected,
  TroupeError,
  type ErrorCode,
  type ErrorData,
} from './errors.js'
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
  SpawnedRef,
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
export {
  Checkpoint,
  CheckpointAttempt,
  CheckpointPlaces,
  CheckpointStore,
  damageText,
  DEFAULT_KEEP_LAST,
  LocalFiles,
  type CheckpointDamage,
  type CheckpointEntry,
  type CheckpointFiles,
  type CheckpointManifest,
  type CommitOutcome,
  type ManifestFacts,
  type NewestCheckpoint,
  type RetentionPolicy,
  type TensorKey,
  type TensorSlice,
} from './checkpoint/index.js'
export {
  HdfsFiles,
  HdfsPlaces,
  WebHdfs,
  type HdfsOptions,
  type HdfsRenameOutcome,
  type HdfsStatus,
} from './hdfs/index.js'
export { Troupe } from './node/troupe.js'
export type { ActorView } from './node/inspect.js'
export type { ShutdownPhase, ShutdownTask } from './node/shutdown.js'
export type { Provider, TroupeOptions } from './node/options.js'
export {
  arrays,
  DatasetAgreement,
  idx,
  loadDataset,
  openDataset,
  type ArraysOptions,
  type DatasetDescriptor,
  type DatasetSource,
  type IdxOptions,
  type LoadedRows,
  type OpenedDataset,
  type RowRange,
} from './data/index.js'
export {
  defineJob,
  isJobDefinition,
  type JobArgs,
  type JobDefinition,
  type JobOptions,
  type ServerIsolation,
} from './program/job-definition.js'
export type { Batch, DatasetOptions, JobContext, JobFence, JobSummary } from './program/job-context.js'
export type { OptimizerOptions } from './training/optimizer-options.js'
export type { LearningRateSchedule } from './training/schedule.js'
export type {
  JobCheckpoint,
  JobDone,
  JobEpochEnd,
  JobEvent,
  JobFailure,
  JobLog,
  JobRestored,
  JobStarted,
  JobStep,
  Logs,
} from './program/events.js'
export { Compute, type Program, type ProgramEnd, type ProgramHost } from './program/compute.js'
export type {
  DatasetReply,
  DatasetRequest,
  JoinReply,
  JoinRequest,
  OnceReply,
  ProgramNotice,
  ProgramRequest,
  ProgramSpec,
} from './program/protocol.js'
export {
  checkKill,
  DEFAULT_CHECKPOINT_INTERVAL_MS,
  killAt,
  parseKill,
  parseOptions,
  type FaultPoint,
  type KillSpec,
} from './config/index.js'
export { fingerprintDifferences, kernelSettingsOf, type ComputeFingerprint } from './tensor/fingerprint.js'
export type { BackendChoice, BackendName } from './tensor/backend-name.js'
export { chooseKernelSettings, type KernelIsa, type KernelSettings } from './tensor/native/kernel-settings.js'

// A runtime may be started with another Compute; this one stands where none was given.
container.register(Compute, { useValue: new ThreadCompute() })
container.register(CheckpointPlaces, { useValue: new HdfsPlaces() })
container.register(Bells, { useValue: atomicBells })
