import { causalChain, TroupeError } from '../errors.js'
import type { Actor, ActorClass } from '../actor/actor.js'
import { Cell } from '../actor/cell.js'
import type { SpawnOptions } from '../actor/child-spec.js'
import type { DeathReason, Terminated } from '../actor/death.js'
import { typeOf } from '../actor/protocol.js'
import { ActorRef, SpawnedRef } from '../actor/ref.js'
import type { Counters } from '../actor/system.js'
import { viewOf, type ActorView } from './inspect.js'
import { compileOptions, type CompiledCluster, type RuntimeOptions, type TroupeOptions } from './options.js'
import { Remoting } from './remoting/remoting.js'
import { Runtime } from './runtime.js'
import { checkNotLoading } from './isolation/actor-loading.js'
import { Shutdown, type ShutdownTask } from './shutdown.js'

/**
 * A runtime: the tree of actors of this process, embedded.
 *
 * @example
 * ```ts
 * await using troupe = await Troupe.start()
 * const counter = await troupe.spawn(Counter, { name: 'counter' })
 * counter.tell.add(2)
 * await counter.ask.count() // 2
 * ```
 */
export class Troupe implements AsyncDisposable {
  /** @internal */
  readonly runtime: Runtime
  /** @internal The traffic with other nodes, if there are any. */
  remoting: Remoting | undefined
  /** How the runtime ended: closed, or failed with the causal chain. Never rejects. */
  readonly closed: Promise<DeathReason>
  readonly #shutdown: Shutdown
  #close!: (reason: DeathReason) => void
  #closing: Promise<void> | undefined

  private constructor(compiled: RuntimeOptions) {
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
    const hasLog = compiled.log !== undefined
    this.runtime = new Runtime(compiled, reason => {
      if (reason.kind === 'failed') this.#tellFailure(reason.cause, hasLog)
      void this.#end(reason)
    })
    this.#shutdown = new Shutdown(this.runtime.clock, error => this.runtime.suppressed('/', error))
  }

  /**
   * @throws ERR_INVALID_OPTION naming the option, the value got and what is accepted; what the transport throws when it
   * cannot be joined; ERR_RUNTIME_IN_THREAD in a module that an actor's thread imports
   */
  static async start(options: TroupeOptions = {}): Promise<Troupe> {
    checkNotLoading()
    const compiled = compileOptions(options)
    const troupe = new Troupe(compiled)
    if (compiled.cluster !== undefined) await troupe.#join(compiled.cluster)
    return troupe
  }

  /**
   * Starts a top-level actor; resolves once its `onStart` did.
   *
   * @throws ERR_ACTOR_NAME, ERR_NAME_TAKEN, ERR_ACTOR_TYPE, ERR_INVALID_OPTION; ERR_ACTOR_START with the cause when it
   * failed to start; ERR_CLOSED
   */
  spawn<A extends Actor>(type: ActorClass<A>, options: SpawnOptions): Promise<SpawnedRef<A>> {
    // no async function: the object behind one weighs as much as the actor
    try {
      this.#open()
      const registered = typeOf(type)
      const child = this.runtime.root.spawnChild(registered, options, undefined)
      const ref = (cell: Cell): SpawnedRef<A> => new SpawnedRef<A>(cell, registered, undefined)
      return child instanceof Cell ? Promise.resolve(ref(child)) : child.then(ref)
    } catch (error) {
      return rejected(error)
    }
  }

  /** Stops an actor; resolves once it is gone. It is not restarted. */
  stop(ref: ActorRef): Promise<void> {
    return this.#find(ref)?.stop() ?? Promise.resolve()
  }

  /**
   * Ends an actor without its hooks, as a crash would; its child spec decides whether it is started again.
   *
   * @param options `blameless`: it counts as no failure of the actor, as when its machine was taken away
   * @returns whether there was one
   */
  kill(ref: ActorRef, options: { readonly blameless?: boolean } = {}): boolean {
    const cell = this.#find(ref)
    if (cell === undefined) return false
    if (options.blameless === true) cell.progressed = true
    cell.kill()
    return true
  }

  /** Resolves once when the actor dies for good, at once if it is dead. A restart is not a death. */
  whenTerminated(ref: ActorRef): Promise<Terminated> {
    return new Promise(resolve => {
      ref.target.watch({
        path: '/',
        terminated: (target, incarnation, reason) => resolve({ path: target.path, incarnation, reason }),
      })
    })
  }

  /** The address of an actor by its path. Nothing is checked: asks to a path without an actor fail. */
  lookup<A extends Actor>(type: ActorClass<A>, path: string): ActorRef<A> {
    return new ActorRef<A>(this.runtime.resolve(path), typeOf(type), undefined)
  }

  /** The tree of actors, as it is now. */
  inspect(): ActorView {
    return viewOf(this.runtime.root)
  }

  /** What was lost or came too late so far. */
  counters(): Readonly<Counters> {
    return { ...this.runtime.counters }
  }

  /**
   * Has a task run when the runtime closes or fails, in its phase and within its timeout. One whose phase has begun, or
   * is over, is run at once.
   *
   * @throws ERR_INVALID_OPTION not a phase
   */
  onClose(task: ShutdownTask): void {
    this.#shutdown.add(task)
  }

  /**
   * Ends the runtime: the tasks of `before-actors-stop`, all actors in reverse order of their start, then the other
   * phases. Always resolves; what failed on the way is counted and logged.
   */
  close(): Promise<void> {
    return this.#end({ kind: 'stopped' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #join({ transport, membership, limits }: CompiledCluster): Promise<void> {
    const { runtime } = this
    const remoting = await Remoting.open({
      system: runtime,
      hooks: runtime.hooks,
      transport,
      membership,
      limits,
      // what lives here may have no more effects: others may have taken over
      onFenced: () => runtime.rootEnded({ kind: 'failed', cause: remoting.closedError() }),
    })
    this.remoting = remoting
    runtime.remote = path => remoting.target(path)
  }

  #end(reason: DeathReason): Promise<void> {
    return (this.#closing ??= (async () => {
      await this.#shutdown.run('before-actors-stop')
      await this.runtime.root.stop(reason)
      await this.#shutdown.run('after-actors-stop')
      await this.remoting?.drain()
      await this.remoting?.close()
      await this.#shutdown.run('disconnect')
      this.runtime.deadlines.close()
      this.#close(reason)
    })())
  }

  #tellFailure(cause: unknown, hasLog: boolean): void {
    const lines = causalChain(cause).map((line, depth) => `${depth === 0 ? '' : 'caused by '}${line}`)
    const text = `runtime '${this.runtime.name}' failed: ${lines.join('\n  ')}`
    if (hasLog) this.runtime.log.error(text)
    else process.stderr.write(`${text}\n`)
  }

  #open(): void {
    if (this.#closing === undefined) return
    throw new TroupeError('ERR_CLOSED', `the runtime '${this.runtime.name}' is closed`)
  }

  #find(ref: ActorRef): Cell | undefined {
    const { target } = ref
    return target instanceof Cell && target.state !== 'stopped' ? target : this.runtime.find(ref.path)
  }
}

/** A rejected promise that keeps whatever was thrown. */
async function rejected(error: unknown): Promise<never> {
  throw error
}
