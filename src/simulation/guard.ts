import { createHook } from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'
import { TroupeError } from '../errors.js'
import { impureSources } from './guard-sources.js'
import { turn } from './turn.js'

/** Frames of a stack that is searched for who called: deep enough to get past a framework. */
const STACK_FRAMES = 60

/**
 * Callers that may touch the machine, since no actor sees what they get: Node when it loads a module or maps a
 * stack, the console, and test frameworks whose assertions a scenario uses.
 */
const EXEMPT = [
  /node:internal\/(?:modules|source_map|console|test_runner|process\/esm_loader)/,
  /node_modules\/(?:@tapjs|tap|async-hook-domain|tcompare)\//,
]

/** Node's own code: when it calls a replaced function itself, what it then does shows as a resource. */
const OF_NODE = /\(?node:/
const OF_GUARD = /simulation[/\\]guard\.[jt]s/

/** Resources of the machine's own: sockets, files, threads, compression, key generation. Others are JavaScript's. */
const MACHINE_RESOURCE = /^(?:[A-Z][A-Z0-9_]+|Timeout|Immediate)$/
const HARMLESS_RESOURCES = new Set(['PROMISE', 'FINALIZATIONREGISTRY'])

/**
 * While it is in place, whatever touches real time, randomness, timers or I/O is reported, and where it can be,
 * refused with ERR_SIMULATION_IMPURE. It covers the whole process: nothing else may go on meanwhile.
 */
export class Guard {
  readonly #report: (violation: TroupeError) => void
  readonly #undo: (() => void)[] = []
  readonly #hook = createHook({ init: (_id, type) => this.#resource(type) })
  #inside = false

  constructor(report: (violation: TroupeError) => void) {
    this.#report = report
  }

  install(): void {
    // both are made lazily by Node; made now, they do not look like a simulation's I/O
    void process.stdout.writable
    void process.stderr.writable
    structuredClone(0)
    for (const { holder, key, name } of impureSources()) this.#replace(holder, key, name)
    this.#replaceDate()
    syncBuiltinESMExports()
    this.#hook.enable()
  }

  remove(): void {
    this.#hook.disable()
    for (const undo of this.#undo.splice(0).reverse()) undo()
    syncBuiltinESMExports()
  }

  #replace(holder: object, key: string, name: string): void {
    const original = Object.getOwnPropertyDescriptor(holder, key)
    if (original?.configurable === false && original.writable !== true) return
    const value = (holder as Record<string, unknown>)[key] as (...args: unknown[]) => unknown
    const check = (): void => this.#check(name)
    function guarded(this: unknown, ...args: unknown[]): unknown {
      check()
      return Reflect.apply(value, this, args)
    }
    // functions such as process.hrtime and setTimeout carry others, promisified ones among them
    Object.defineProperties(guarded, Object.getOwnPropertyDescriptors(value))
    Object.defineProperty(
      holder,
      key,
      original === undefined ? { value: guarded, configurable: true } : own(guarded),
    )
    this.#undo.push(() => {
      if (original === undefined) Reflect.deleteProperty(holder, key)
      else Object.defineProperty(holder, key, original)
    })

    function own(replacement: unknown): PropertyDescriptor {
      const { configurable, enumerable } = original!
      return { value: replacement, writable: true, configurable: configurable!, enumerable: enumerable! }
    }
  }

  #replaceDate(): void {
    const RealDate = globalThis.Date
    const check = (): void => this.#check('new Date()')
    globalThis.Date = new Proxy(RealDate, {
      construct(target, args, newTarget) {
        if (args.length === 0) check()
        return Reflect.construct(target, args, newTarget) as object
      },
      apply(target, self, args) {
        check()
        return Reflect.apply(target, self, args) as string
      },
    })
    this.#undo.push(() => {
      globalThis.Date = RealDate
    })
  }

  #check(name: string): void {
    const violation = this.#violation(name, false)
    if (violation === undefined) return
    this.#report(violation)
    throw violation
  }

  /** Called while Node makes a resource: it must not throw. */
  #resource(type: string): void {
    if (turn.asked || HARMLESS_RESOURCES.has(type) || !MACHINE_RESOURCE.test(type)) return
    if (type === 'WRITEWRAP' && process.stdout.writableLength + process.stderr.writableLength > 0) return
    const violation = this.#violation(`a resource of the machine (${type})`, true)
    if (violation !== undefined) this.#report(violation)
  }

  /** Nothing if an exempt caller is on the stack, or the guard is at work itself. */
  #violation(name: string, resource: boolean): TroupeError | undefined {
    if (this.#inside) return undefined
    this.#inside = true
    const { stackTraceLimit } = Error
    try {
      Error.stackTraceLimit = STACK_FRAMES
      const violation = new TroupeError('ERR_SIMULATION_IMPURE', `the simulation touched ${name}`, {
        data: { api: name },
      })
      const frames = (violation.stack ?? '')
        .split('\n')
        .filter(line => /^\s+at /.test(line) && !/^\s+at async /.test(line))
      const caller = frames.find(frame => !OF_GUARD.test(frame))
      if (!resource && (caller === undefined || OF_NODE.test(caller))) return undefined
      if (frames.some(frame => EXEMPT.some(exempt => exempt.test(frame)))) return undefined
      return violation
    } finally {
      Error.stackTraceLimit = stackTraceLimit
      this.#inside = false
    }
  }
}
