import { Worker, type ResourceLimits, type Transferable } from 'node:worker_threads'
import { bootCode, bootPlan, type BootData } from './boot-plan.js'

/** What a thread is started with. */
export interface ThreadSpec {
  /** The module the thread runs: imported once the thread can load TypeScript, if it must. */
  readonly main: URL
  /** What the module finds by {@link threadData}. Structured clone; shared buffers are shared. */
  readonly data: unknown
  /** Other modules the thread will import (a user's job or actor): TypeScript among them is made loadable. */
  readonly modules?: readonly string[]
  readonly transferList?: readonly Transferable[]
  /** Heap limits in MiB; reaching one ends the thread with `ERR_WORKER_OUT_OF_MEMORY`. */
  readonly resourceLimits?: ResourceLimits
  /** Environment of the thread. @default a copy of this thread's */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Shown by debuggers and in the thread's own errors. */
  readonly name?: string
}

interface ThreadData extends BootData {
  readonly data: unknown
}

/**
 * CommonJS on purpose: with `eval` Node 20 runs the code before any loader exists, so it can register one itself;
 * `--import` in `execArgv` of a thread is not honoured there.
 */
const BOOT = bootCode("require('node:worker_threads').workerData")

/**
 * Starts a thread that runs `spec.main`, also where that or a module named in `spec.modules` is TypeScript.
 *
 * Loaders and preloads of this process are not inherited (they may be a test runner's); export conditions are, so
 * that no module is loaded once from source and once from build. A module that fails to load is the thread's
 * 'error' event.
 */
export function spawnThread(spec: ThreadSpec): Worker {
  const { boot, env, execArgv } = bootPlan(spec)
  return new Worker(BOOT, {
    eval: true,
    workerData: { ...boot, data: spec.data } satisfies ThreadData,
    execArgv,
    env,
    ...(spec.transferList === undefined ? {} : { transferList: [...spec.transferList] }),
    ...(spec.resourceLimits === undefined ? {} : { resourceLimits: spec.resourceLimits }),
    ...(spec.name === undefined ? {} : { name: spec.name }),
  })
}

/** Inside a thread started by {@link spawnThread}: what it was given, from Node's `workerData`. */
export function threadData(workerData: unknown): unknown {
  return (workerData as ThreadData).data
}
