/**
 * Every error that Troupe raises: one class, one stable code each, and a remedy for each code.
 * Codes cross process borders and are part of the public interface; `instanceof` is not.
 */

/** Code → what a person can do about it. Grouped by layer, lowest first. */
export const REMEDIES = {
  // general
  ERR_INTERNAL: 'this is a bug in Troupe: please report it with the stack',
  ERR_INVALID_OPTION: 'correct the named option',
  ERR_CLOSED: 'start a new runtime; a closed one cannot be used again',

  // wire
  ERR_PAYLOAD: 'send plain data, binary data, TensorData or refs',
  ERR_SHARED_MEMORY:
    'shared memory cannot leave its process: send a copy (tensor.copy(), array.slice()), or keep both actors in one process',
  ERR_FRAME:
    'the sender is not a Troupe node, or the bytes were damaged on the way; the field names the place',
  ERR_PROTOCOL_VERSION: 'run the same version of Troupe on every node',

  // actor
  ERR_ACTOR_TYPE: 'correct the actor class; the message names the member',
  ERR_ACTOR_NAME: "use 1 to 64 characters of [A-Za-z0-9_-], not starting with '$'",
  ERR_NAME_TAKEN: 'choose another name, or stop the actor that has it',
  ERR_UNKNOWN_TYPE: 'import the module that declares the actor class before it is spawned by name',
  ERR_UNKNOWN_MESSAGE: 'mark the method with @handles(), or send one of the messages the class handles',
  ERR_STALE_INCARNATION:
    'this code belongs to an incarnation that has ended; use ctx.signal to stop it early',
  ERR_ASK_TIMEOUT:
    'the outcome is unknown: ask again only if the message may be applied twice, or raise timeoutMs',
  ERR_ASK_ABORTED: 'the caller aborted the ask; the outcome is unknown',
  ERR_ASK_CYCLE: 'answer with ctx.deferReply(), or pipe the inner ask with ctx.pipeToSelf()',
  ERR_MAILBOX_FULL: 'slow the sender down, or raise mailbox.maxMessages or mailbox.maxBytes',
  ERR_ACTOR_STOPPED: 'the actor has stopped: spawn it again, or watch it to learn of its end in time',
  ERR_ACTOR_FAILED: 'see the cause; the supervisor decided what became of the actor',
  ERR_ACTOR_NOT_FOUND: 'no such actor: check the path, or spawn it first',
  ERR_ACTOR_START: 'see the cause: the constructor or onStart failed, and nothing was started',
  ERR_STOP_TIMEOUT: 'raise shutdownMs, or make onStop and long handlers heed ctx.signal',
  ERR_REPLY_LOST: 'the deferred reply was never given; settle it before the actor stops',

  // supervision
  ERR_RESTART_INTENSITY: 'see the cause: the child kept failing; mend it, or raise maxRestarts or withinMs',
  ERR_LEASE_EXPIRED: 'the parent did not come back within leaseMs; raise it if it needs longer',

  // isolation
  ERR_NOT_LOADABLE: "give the class its module: @actor('name', { module: import.meta.url })",
  ERR_MODULE_LOAD: 'see the cause: the module failed to load in the thread or process',
  ERR_RUNTIME_IN_THREAD:
    'declare the actor class in a module of its own, and import it where the runtime is started',
  ERR_THREAD_EXITED: 'the thread ended by itself: do not call process.exit in an actor',
  ERR_THREAD_FAILED: 'see the cause: an error outside any handler ended the thread',
  ERR_THREAD_LIMIT: 'raise resourceLimits for this actor, or use less memory',
  ERR_PROCESS_EXITED:
    'the process ended by itself: see its exit code, or the signal: SIGKILL may be the machine out of memory, SIGABRT and SIGSEGV a crash in native code',
  ERR_PROCESS_FAILED: 'see the cause: an error outside any handler ended the process, or it could not start',
  ERR_PROCESS_LIMIT: 'raise resourceLimits for this actor, or use less memory',
  ERR_SHUTDOWN: 'see the cause; raise timeoutMs of the task if it needs longer',
  ERR_NODE_LOST: 'the node went silent; what it was doing may or may not have happened',

  // transport and node
  ERR_ADDRESS_TAKEN: 'give each node its own id; a node that starts again needs a greater incarnation',
  ERR_SEND_BUFFER_FULL:
    'slow the sender down, or raise remoting.maxPairMessages or remoting.maxPairBytes: the receiver is unreachable or slow',
  ERR_TOO_MANY_ASKS: 'slow the askers down, or raise remoting.maxPendingAsks',
  ERR_NODE_FENCED: 'the cluster has declared this node incarnation down: start the node again',

  // simulation
  ERR_SIMULATION_FAILED: 'see the cause; the replay line repeats this run',
  ERR_SIMULATION_IMPURE:
    'use the injected Clock, Random and ports: a simulation must not touch the machine; load modules and files before it',
  ERR_SIMULATION_BUSY: 'await the simulation that is under way: one process runs one at a time',
  ERR_EXPLORATION_FAILED: 'run the replay line of a failing seed, and mend what it shows',

  // data
  ERR_DATASET: 'correct the dataset descriptor, or the rows asked for',
  ERR_DATA_READ: 'see the cause: check the path and that the file can be read',
  ERR_DATA_FORMAT: 'fetch the file again, or correct the descriptor if the file is right',

  // tensor
  ERR_BACKEND_UNAVAILABLE: 'choose another with --backend, or none: the best that loads is taken then',
  ERR_TENSOR_DTYPE: 'convert the tensor first: tfjs holds float32, int32, bool, complex64 and string',
  ERR_TENSOR_SHAPE: 'give tensors of the shapes that the message names, or let CompiledSteps choose by shape',
  ERR_BACKEND_CANNOT_TRAIN:
    'install the native library of @tensorflow/tfjs-node-gpu, train with --backend js (slow), or change the layer',

  // training
  ERR_OPTIMIZER: 'use one of the optimizers that the message lists',
  ERR_LAYOUT: 'use more parameter servers',
  ERR_RANKS_DIVERGED:
    'do the same on every rank, with the same models, optimizers and datasets: do not branch on ctx.rank before or between steps',
  ERR_STALE_GENERATION: 'nothing to do: the job rolled back, and this message belongs to what was dropped',
  ERR_REPLAY_DIVERGED:
    'between steps, let the program depend on step results, data and seeded randomness only; do the rest in ctx.once()',
  ERR_REPLAY_LOOKAHEAD: 'shuffle, batch, filter and prefetch before ctx.dataset(), not behind it',

  // program
  ERR_TRAINING_LOOP:
    'make steps with fit, fitDataset, trainOnBatch or optimizer.minimize, on every worker: not within ctx.once or an evaluation',
  ERR_MODEL_FILES: 'see the cause: check the directory, and that it can be read and written',
  ERR_NOT_DETERMINISTIC:
    'let a step depend on weights, data and Math.random only: no clock, no counter of your own, no other state',
  ERR_PROGRAM_FAILED: "see the cause: the job's main threw",
  ERR_PROGRAM_KILLED: 'nothing to do if the kill was planned; the supervisor starts the program again',
  ERR_RESUME:
    'choose the checkpoints of this very job, or another directory; add --resume to go on from what is there',
  ERR_STATE_LOST: 'run the job again: what this actor held is gone with it',
  ERR_JOB_STOPPED: 'nothing to do if it was meant: the job was stopped before its end',
  ERR_PROGRAM_STOPPED: 'nothing to do: the job is stopping, and the program was in the middle of a step',

  // checkpoint
  ERR_CHECKPOINT_IO: 'see the cause: check that the place can be reached, read and written',
  ERR_CHECKPOINT_MISSING: 'check the path, and that nobody else removes files of the checkpoint directory',
  ERR_CHECKPOINT_EXISTS:
    'choose another place; or, where several write checkpoints, give each its own randomness for names',
  ERR_CHECKPOINT_DISK_FULL:
    'free space, keep fewer checkpoints, or choose another place; the last good checkpoint is untouched',
  ERR_CHECKPOINT_UNREADABLE: 'check the disk; an older checkpoint is used where there is one',
  ERR_CHECKPOINT_CLOSED:
    'nothing to do: the job rolled back, and this checkpoint belongs to what was dropped',
  ERR_CHECKPOINT_INCOMPLETE: 'write every shard and the state, whole, before the commit',
  ERR_CHECKPOINT_DAMAGED:
    'use an older checkpoint, or a copy of this one; troupe checkpoints DIR --verify lists them',
  ERR_CHECKPOINT_NONE:
    'check the directory with: troupe checkpoints DIR --verify; without --resume training begins anew',
  ERR_CHECKPOINT_SLICE: 'ask for a tensor that the checkpoint holds, within its shape',
  ERR_CHECKPOINT_PLACE:
    'give a directory of this machine, as a path or a file: URL, or one in HDFS: hdfs://, webhdfs://, swebhdfs://',

  // HDFS
  ERR_HDFS_LOCATION:
    'give webhdfs://NAMENODE:9870/PATH, or set HADOOP_CONF_DIR to the folder of core-site.xml and hdfs-site.xml',
  ERR_HDFS_CONFIG: 'correct the named file, or the variable that names it',
  ERR_HDFS_UNAVAILABLE:
    'check that a NameNode is active and out of safe mode, and that DataNodes can be reached from here (option hosts maps names); or raise retryForMs',
  ERR_HDFS_MISSING: 'check the path',
  ERR_HDFS_EXISTS: 'choose another name, or remove what is there',
  ERR_HDFS_DENIED:
    'let the owner of the folder allow this user (HADOOP_USER_NAME, or the ticket) to write and read it',
  ERR_HDFS_AUTHENTICATION:
    'get a fresh ticket (kinit) or delegation token; with Kerberos set authentication: "kerberos" and npm install kerberos',
  ERR_HDFS_FULL: 'raise the quota of the folder, or free space in HDFS; what was written before is untouched',
  ERR_HDFS_READ_ONLY:
    'give the address of a NameNode, such as webhdfs://NAMENODE:9870/PATH, to write checkpoints',
  ERR_HDFS_REFUSED: 'see the message of the server',

  // engines
  ERR_ENGINE_MISSING: 'run the named command, or point the named variable at one that you have',
  ERR_ENGINE_VERSION: 'see the message for how to get a newer one',
  ERR_ENGINE_PLATFORM: 'use one of the platforms that the message lists',
  ERR_ENGINE_INSTALL:
    'make one of the sources usable, or fetch the named file elsewhere and give it with --from FILE',
  ERR_ENGINE_PROGRAM: 'see what the program said',
  ERR_ENGINE_DOWNLOAD: 'check that this machine reaches the server; a proxy is not used',
  ERR_ENGINE_DIGEST: 'fetch it again; if it stays so, something on the way changes files: do not use it',
  ERR_ENGINE_DISK_FULL: 'free space, or set TROUPE_CACHE to a directory on another disk',
  ERR_ENGINE_BROKEN: 'see the cause; remove it with troupe provision ENGINE --remove and provision it again',
  ERR_ENGINE_START: 'see the end of its log in the message',
  ERR_ENGINE_ANSWER: 'check the URL, and that the server runs and can be reached from here',

  // command line
  ERR_USAGE: 'see --help of the command',
  ERR_JOB_MODULE: 'end the module with: export default defineJob({ main, … })',
} as const satisfies Record<`ERR_${string}`, string>

export type ErrorCode = keyof typeof REMEDIES

/** Facts about an error: the value got, the limit, names. Must survive the wire: plain data only. */
export type ErrorData = Readonly<Record<string, unknown>>

/**
 * An error of Troupe's own. `message` says what happened, with the value got and the limit, then the remedy.
 */
export class TroupeError extends Error {
  readonly code: ErrorCode
  readonly remedy: string
  readonly data: ErrorData

  constructor(code: ErrorCode, what: string, options: { data?: ErrorData; cause?: unknown } = {}) {
    const remedy: string = REMEDIES[code]
    super(`${what}. Remedy: ${remedy}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TroupeError'
    this.code = code
    this.remedy = remedy
    this.data = options.data ?? {}
  }
}

/**
 * An expected refusal, thrown by a handler: the asker gets it, the actor lives on.
 *
 * @example throw new Rejected('OUT_OF_STOCK', 'no more of 4711', { article: 4711 })
 */
export class Rejected extends Error {
  /** The user's own code; stable, free to choose. */
  readonly code: string
  readonly data: ErrorData

  constructor(code: string, message: string = code, data: ErrorData = {}) {
    super(message)
    this.name = 'Rejected'
    this.code = code
    this.data = data
  }
}

/** Has this error the given code? Works for errors that crossed a process border. */
export function hasCode(error: unknown, code: ErrorCode): error is TroupeError {
  return error instanceof Error && (error as { code?: unknown }).code === code
}

/** An error as plain data, for the wire and for logs. */
export interface ErrorInfo {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly data?: ErrorData
  readonly stack?: string
  readonly cause?: ErrorInfo
}

/** How deep a chain of causes is followed: beyond it the rest is dropped (chains can be cyclic). */
const MAX_CAUSE_DEPTH = 16

/** Turns anything thrown into plain data; the chain of causes is kept up to 16 deep. */
export function errorInfo(error: unknown, depth = 0): ErrorInfo {
  if (!(error instanceof Error)) return { name: 'NonError', message: describe(error) }
  const { code, data } = error as { code?: unknown; data?: unknown }
  const cause = error.cause
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(isRecord(data) ? { data } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(cause === undefined || depth >= MAX_CAUSE_DEPTH ? {} : { cause: errorInfo(cause, depth + 1) }),
  }
}

/** The inverse of {@link errorInfo}: a TroupeError or Rejected where it was one, else a plain Error. */
export function errorFromInfo(info: ErrorInfo): Error {
  let error: Error
  if (info.name === 'Rejected') {
    error = new Rejected(info.code ?? 'REJECTED', info.message, info.data)
  } else if (info.code !== undefined && Object.hasOwn(REMEDIES, info.code)) {
    error = new TroupeError(info.code as ErrorCode, '', info.data === undefined ? {} : { data: info.data })
    error.message = info.message
  } else {
    error = new Error(info.message)
    error.name = info.name
    if (info.code !== undefined) Object.assign(error, { code: info.code })
    if (info.data !== undefined) Object.assign(error, { data: info.data })
  }
  if (info.stack !== undefined) error.stack = info.stack
  if (info.cause !== undefined) error.cause = errorFromInfo(info.cause)
  return error
}

/** The chain of causes as lines, outermost first: what a person reads when a job fails. */
export function causalChain(error: unknown): string[] {
  const lines: string[] = []
  for (let at: unknown = error; at !== undefined && lines.length <= MAX_CAUSE_DEPTH;) {
    const info = errorInfo(at)
    lines.push(`${info.code ?? info.name}: ${info.message}`)
    at = at instanceof Error ? at.cause : undefined
  }
  return lines
}

/** A short rendering of a value for an error message: never throws, at most 80 characters. */
export function describe(value: unknown): string {
  let text: string
  if (typeof value === 'string') text = JSON.stringify(value)
  else if (typeof value === 'bigint') text = `${value}n`
  else if (typeof value === 'function') text = `function ${value.name || '(anonymous)'}`
  else if (typeof value === 'object' && value !== null) {
    try {
      text = JSON.stringify(value) ?? Object.prototype.toString.call(value)
    } catch {
      text = Object.prototype.toString.call(value)
    }
  } else text = String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
