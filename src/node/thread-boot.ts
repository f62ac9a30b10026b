import { Worker, type ResourceLimits, type Transferable } from 'node:worker_threads'

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

interface BootData {
  readonly tsxApi: string | null
  readonly main: string
  readonly nodeOptions: string | null
  readonly data: unknown
}

const TYPESCRIPT = /\.[cm]?tsx?$/

/**
 * CommonJS on purpose: with `eval` Node 20 runs the code before any loader exists, so it can register one itself;
 * `--import` in `execArgv` of a thread is not honoured there.
 */
const BOOT = `
const { workerData } = require('node:worker_threads')
if (workerData.nodeOptions !== null) process.env.NODE_OPTIONS = workerData.nodeOptions
;(async () => {
  if (workerData.tsxApi !== null) (await import(workerData.tsxApi)).register()
  await import(workerData.main)
})()
`

/**
 * Starts a thread that runs `spec.main`, also where that or a module named in `spec.modules` is TypeScript.
 *
 * Loaders and preloads of this process are not inherited (they may be a test runner's); export conditions are, so
 * that no module is loaded once from source and once from build. A module that fails to load is the thread's
 * 'error' event.
 */
export function spawnThread(spec: ThreadSpec): Worker {
  const typescript = [import.meta.url, spec.main.href, ...(spec.modules ?? [])].some(isTypeScript)
  const env: Record<string, string | undefined> = { ...(spec.env ?? process.env) }
  const nodeOptions = env['NODE_OPTIONS']
  // Node would apply NODE_OPTIONS to the thread on top of execArgv; it comes back once the thread has started.
  delete env['NODE_OPTIONS']
  const boot: BootData = {
    tsxApi: typescript ? import.meta.resolve('tsx/esm/api') : null,
    main: spec.main.href,
    nodeOptions: nodeOptions ?? null,
    data: spec.data,
  }
  return new Worker(BOOT, {
    eval: true,
    workerData: boot,
    execArgv: exportConditions([...process.execArgv, ...splitOptions(nodeOptions)]),
    env: env as NodeJS.ProcessEnv,
    ...(spec.transferList === undefined ? {} : { transferList: [...spec.transferList] }),
    ...(spec.resourceLimits === undefined ? {} : { resourceLimits: spec.resourceLimits }),
    ...(spec.name === undefined ? {} : { name: spec.name }),
  })
}

/** Inside a thread started by {@link spawnThread}: what it was given, from Node's `workerData`. */
export function threadData(workerData: unknown): unknown {
  return (workerData as BootData).data
}

/** The `--conditions` among Node's options, each as one `--conditions=NAME`; everything else is left out. */
export function exportConditions(options: readonly string[]): string[] {
  const conditions: string[] = []
  for (let i = 0; i < options.length; i++) {
    const match = /^(?:--conditions|-C)(?:=(.*))?$/.exec(options[i]!)
    if (match === null) continue
    const name = match[1] ?? options[++i]
    if (name !== undefined && !conditions.includes(`--conditions=${name}`))
      conditions.push(`--conditions=${name}`)
  }
  return conditions
}

function isTypeScript(url: string): boolean {
  return TYPESCRIPT.test(url.split(/[?#]/, 1)[0]!)
}

function splitOptions(nodeOptions: string | undefined): string[] {
  return nodeOptions?.split(/\s+/).filter(option => option !== '') ?? []
}
