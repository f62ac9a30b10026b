import { spawn, type ChildProcess, type IOType } from 'node:child_process'
import type { ResourceLimits } from 'node:worker_threads'
import { bootCode, bootPlan } from './boot-plan.js'

/** What a child process is started with. */
export interface ProcessSpec {
  /** The module the process runs: imported once it can load TypeScript, if it must. */
  readonly main: URL
  /** Other modules it will import: TypeScript among them is made loadable. */
  readonly modules?: readonly string[]
  /** Descriptors of the child from 3 on: a pipe, or one of ours. Standard output and error are pipes, input is empty. */
  readonly descriptors: readonly (IOType | number)[]
  /** Heap and stack in MiB, as flags of V8; reaching the heap's aborts the process. `codeRangeSizeMb` has none. */
  readonly resourceLimits?: ResourceLimits
  /** Environment of the process. @default this process's */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Its last argument, for `ps`. */
  readonly name?: string
}

/** Where the boot code finds what it must know: no argument of Node's own. */
const BOOT = bootCode('JSON.parse(process.argv[1])')

/**
 * Starts a child process that runs `spec.main`, also where that or a module named in `spec.modules` is TypeScript.
 * Loaders and preloads of this process are not inherited, export conditions are.
 */
export function spawnProcess(spec: ProcessSpec): ChildProcess {
  const { boot, env, execArgv } = bootPlan(spec)
  const flags = [...execArgv, ...memoryFlags(spec.resourceLimits ?? {})]
  const args = ['--eval', BOOT, '--', JSON.stringify(boot)]
  if (spec.name !== undefined) args.push(spec.name)
  return spawn(process.execPath, [...flags, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe', ...spec.descriptors],
  })
}

/** A semi-space is a third of the young generation. */
const SEMI_SPACES = 3

/** What Node makes of the limits of a thread, for a process. */
function memoryFlags(limits: ResourceLimits): string[] {
  const { maxOldGenerationSizeMb: old, maxYoungGenerationSizeMb: young, stackSizeMb: stack } = limits
  const flags: string[] = []
  if (old !== undefined) flags.push(`--max-old-space-size=${old}`)
  if (young !== undefined) flags.push(`--max-semi-space-size=${Math.max(1, Math.round(young / SEMI_SPACES))}`)
  if (stack !== undefined) flags.push(`--stack-size=${Math.round(stack * 1000)}`)
  return flags
}
