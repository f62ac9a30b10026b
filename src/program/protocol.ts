import type { MessagePort } from 'node:worker_threads'
import type { KillSpec } from '../config/index.js'
import type { DatasetDescriptor } from '../data/index.js'
import type { ErrorInfo } from '../errors.js'
import type { BackendName, ComputeFingerprint, KernelSettings } from '../tensor/index.js'
import type { Attachment, JournalImage, ModelPart, SamplePlanSpec } from '../training/index.js'
import type { JobLog as JobLogEvent, Logs } from './events.js'

/** Everything a program is started with. Plain data: it can travel to another machine. */
export interface ProgramSpec {
  readonly job: string
  /** URL of the job's module, which exports the definition as default. */
  readonly module: string
  readonly args: Readonly<Record<string, unknown>>
  readonly rank: number
  readonly workers: number
  readonly seed: number
  readonly generation: number
  readonly incarnation: number
  /** Absent: the best that loads. */
  readonly backend?: BackendName
  /** What native kernels are set to, for all programs of the job wherever they run. Absent: what the machine chooses. */
  readonly kernels?: KernelSettings
  /**
   * Threads kept ready to take over from programs of this job that fail: TensorFlow is loaded in them, which is most of
   * a start, and takes some 90 MB each.
   *
   * @default 1 from the job's first failure on
   */
  readonly spareThreads?: number
  /** Compute each step twice and compare. @default false */
  readonly checkDeterminism?: boolean
  /** The first step to compute (from 0): this rank has pushed those before everywhere. */
  readonly from: number
  /**
   * What user code saw of those steps; one that was not closed yet is missing, and known when it is. It may hold one
   * more: of a step that only some of the parameter servers have, and that is computed again for the others.
   */
  readonly journal: JournalImage
  /** Parts of the model that all parameter servers have: they need no initial values of those. */
  readonly knownParts: number
  /** How many steps ranks may be apart: 0 is exact mode. */
  readonly staleness: number
  /** Kills that this program meets and that have not happened yet. */
  readonly kills: readonly KillSpec[]
}

/** What the program asks of its worker; it blocks until the answer is there. */
export type ProgramRequest =
  | JoinRequest
  | DatasetRequest
  | { readonly ask: 'once-find'; readonly key: string }
  | { readonly ask: 'once-keep'; readonly key: string; readonly value: unknown }
  | { readonly ask: 'checkpoint'; readonly step: number }
  | FaultRequest

/** Before the first step that trains this part of the model: agree on it. */
export interface JoinRequest {
  readonly ask: 'join'
  /** Numbered from 0, in the order in which the program comes to them. */
  readonly part: number
  readonly spec: ModelPart
  /**
   * The chief's values of the variables that no part before had, in the order of the part; none from the others, and
   * none where the servers have the part.
   */
  readonly initial: readonly Float32Array[] | null
}

export interface JoinReply {
  /** Where this incarnation says what it pushes; the same for all parts. */
  readonly region: SharedArrayBuffer
  /** Of each parameter server, in order. */
  readonly servers: readonly Attachment[]
}

export interface DatasetRequest {
  readonly ask: 'dataset'
  /** How many datasets this program opened before: names it in the job, whatever path it has on this machine. */
  readonly index: number
  readonly descriptor: DatasetDescriptor
  readonly batchSize: number
  readonly shuffle: boolean
}

export interface DatasetReply {
  readonly ring: SharedArrayBuffer
  readonly plan: SamplePlanSpec
  /** Shape of one row of features. */
  readonly xShape: readonly number[]
  readonly yShape: readonly number[]
}

/**
 * Whether the value is there. The chief is told at once, and runs the function if not; the others are told when it
 * is there.
 */
export type OnceReply = { readonly found: true; readonly value: unknown } | { readonly found: false }

/** The place of a planned kill is reached. Never answered where it is this program that ends. */
export interface FaultRequest {
  readonly ask: 'fault'
  readonly kill: KillSpec
  /** The step that is open, counted from 1. */
  readonly step: number
}

export interface ProgramReplies {
  readonly join: JoinReply
  readonly dataset: DatasetReply
  readonly 'once-find': OnceReply
  readonly 'once-keep': null
  /** When it is written. */
  readonly checkpoint: null
  readonly fault: null
}

/** What the program tells its worker. */
export type ProgramNotice =
  | { readonly tell: 'ready'; readonly fingerprint: ComputeFingerprint; readonly why: string }
  | { readonly tell: 'opened'; readonly index: number; readonly rows: number }
  /** How long the program trains, when it has said so. */
  | { readonly tell: 'extent'; readonly epochs: number; readonly stepsPerEpoch: number }
  /** The program is about to compute its first step, after this many replayed ones. */
  | {
      readonly tell: 'live'
      readonly step: number
      /** Names of what a step returns. */
      readonly outputs: readonly string[]
      /** From the first replayed step to this notice; 0 if none was. */
      readonly replayMs: number
    }
  | { readonly tell: 'epoch'; readonly epoch: number; readonly step: number; readonly logs: Logs }
  | { readonly tell: 'log'; readonly level: JobLogEvent['level']; readonly message: string }
  | { readonly tell: 'returned'; readonly result: unknown }
  | { readonly tell: 'failed'; readonly error: ErrorInfo }

/** What a thread says: what its program does, and before that, that it is prepared to take one. */
export type ThreadNotice = ProgramNotice | { readonly tell: 'prepared' }

/** What all programs of a job have in common: a thread can prepare it before it has one of them. */
export interface Preparation {
  readonly module: string
  readonly seed: number
  /** Absent: the best that loads. */
  readonly backend?: BackendName
}

/** What a thread is told: its program, once; then perhaps that its `ctx.signal` aborts. */
export type ProgramOrder = { readonly run: ProgramSpec } | 'abort'

/** What the thread itself is started with. */
export interface ProgramThreadData {
  readonly preparation: Preparation
  /** [replies sent] */
  readonly control: SharedArrayBuffer
  readonly replies: MessagePort
}

/** Words of {@link ProgramThreadData.control}. */
export const ControlWord = { replies: 0 } as const
export const CONTROL_WORDS = 1

export type ProgramReply = { readonly value: unknown } | { readonly error: ErrorInfo }
