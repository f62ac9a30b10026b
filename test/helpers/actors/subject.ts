import {
  Actor,
  actor,
  Args,
  handles,
  hasCode,
  inject,
  Rejected,
  type ActorRef,
  type DeferredReply,
  type Fence,
  type SpawnOptions,
  type StartCause,
  type DeathReason,
  type Terminated,
} from 'troupe'
import type { Probe } from './probe.js'

/**
 * How a constructor or hook behaves: throws, rejects, never ends, throws outside of itself, waits at the gate of that name, or does what an actor
 * that ends must not do.
 */
export type Behaviour = 'throw' | 'reject' | 'hang' | 'stray' | 'act' | `wait ${string}` | undefined

export interface SubjectArgs {
  readonly probe: ActorRef<Probe>
  /** Stands in front of its notes; its own name if absent. */
  readonly as?: string
  readonly construct?: Behaviour
  readonly start?: Behaviour
  /** As `start`, in restarts only. */
  readonly restart?: Behaviour
  /** The first this many restarts fail in `onStart`. */
  readonly failRestarts?: number
  readonly stop?: Behaviour
  readonly terminated?: Behaviour
  /** Spawned in `onStart`, one after another, with this one's args but for behaviours. */
  readonly children?: readonly SpawnOptions[]
  /** Notes its starts and stops. @default true */
  readonly notes?: boolean
}

/** What an old instance did, by code of error: effects of an ended incarnation reach nobody, so it is written here. */
export const leftovers: string[] = []

/** Does as it is told, and notes in the probe what happens to it. */
@actor('test-subject', { module: import.meta.url })
export class Subject extends Actor {
  readonly #args: SubjectArgs
  #count = 0
  #deferred: DeferredReply<string> | undefined

  constructor(@inject(Args) args: SubjectArgs) {
    super()
    this.#args = args
    if (args.construct === 'throw') throw new Error('constructor threw')
  }

  override onStart(cause: StartCause): void | Promise<void> {
    const { failRestarts = 0, children, probe } = this.#args
    const again = cause.kind === 'restarted' ? cause.restarts : 0
    const start = again > 0 ? (this.#args.restart ?? this.#args.start) : this.#args.start
    this.#life(cause.kind === 'spawned' ? 'starts' : `restarts ${again} after ${describe(cause.reason)}`)
    if (again > 0 && again <= failRestarts) throw new Error('onStart threw')
    if (start !== undefined) {
      return this.#behave(start, 'onStart')?.then(() => this.#life('started'))
    }
    if (children === undefined) return undefined
    return children.reduce(async (before, child) => {
      await before
      await this.ctx.spawn(Subject, { ...child, args: { probe, ...(child.args as object | undefined) } })
    }, Promise.resolve())
  }

  override onStop(reason: DeathReason): void | Promise<void> {
    this.#life(`stops: ${describe(reason)}`)
    if (this.#args.stop !== undefined) return this.#behave(this.#args.stop, 'onStop')
  }

  override onTerminated({ path, reason }: Terminated): void | Promise<void> {
    this.#note(`saw ${path} end: ${describe(reason)}`)
    if (this.#args.terminated !== undefined) return this.#behave(this.#args.terminated, 'onTerminated')
  }

  // messages that do something here

  @handles() say(text: string): void {
    this.#note(text)
  }

  @handles() echo(value: unknown): unknown {
    return value
  }

  @handles() join(...words: string[]): string {
    return words.join(' ')
  }

  @handles() add(by: number): void {
    this.#count += by
  }

  @handles() count(): number {
    return this.#count
  }

  @handles() async wait(gate: string): Promise<string> {
    await this.#args.probe.ask.pass(gate)
    this.#note(`passed ${gate}`)
    return gate
  }

  @handles() async hold(gate: string): Promise<string> {
    await this.#args.probe.ask.pass(gate)
    return gate
  }

  @handles() fail(message: string): void {
    throw new Error(message)
  }

  @handles() async failLater(message: string): Promise<void> {
    await Promise.resolve()
    throw new Error(message)
  }

  @handles() async failAfter(gate: string): Promise<void> {
    await this.#args.probe.ask.pass(gate)
    throw new Error(`failed after ${gate}`)
  }

  @handles() refuse(code: string): void {
    throw new Rejected(code, `refused: ${code}`, { count: this.#count })
  }

  @handles() async refuseLater(code: string): Promise<void> {
    await Promise.resolve()
    throw new Rejected(code)
  }

  @handles() wrong(): unknown {
    return () => 'a function cannot be a reply elsewhere'
  }

  @handles() change(value: { n: number }): number {
    return ++value.n
  }

  @handles() defer(): DeferredReply<string> {
    return (this.#deferred = this.ctx.deferReply<string>())
  }

  @handles() answer(text: string): void {
    this.#deferred?.resolve(text)
    this.#deferred?.resolve('a second time')
  }

  @handles() refuseDeferred(code: string): void {
    this.#deferred?.reject(new Rejected(code))
  }

  @handles() progress(): void {
    this.ctx.progress()
  }

  @handles() stopSelf(): void {
    this.ctx.stopSelf()
  }

  @handles() async stopsWhen(gate: string): Promise<void> {
    this.ctx.signal.addEventListener('abort', () => this.#note('signal aborts'))
    await this.#args.probe.ask.pass(gate)
  }

  @handles() random(count: number): number[] {
    return Array.from({ length: count }, () => this.ctx.random.next())
  }

  @handles() fence(): Fence {
    return this.ctx.fence
  }

  // refs

  /** Asks the first to relay to the others; the last gives its path. What went wrong on the way comes back. */
  @handles() async relay(...next: ActorRef<Subject>[]): Promise<string> {
    const [first, ...rest] = next
    if (first === undefined) return this.ctx.path
    return first.ask.relay(...rest).catch((error: unknown) => {
      if (!hasCode(error, 'ERR_ASK_CYCLE')) throw error
      throw new Rejected('CYCLE', (error.data['chain'] as string[]).join(' → '))
    })
  }

  @handles() askItself(): Promise<number> {
    return this.ctx.selfAs(Subject).ask.count()
  }

  @handles() relayPiped(next: ActorRef<Subject>, then: ActorRef<Subject>): void {
    this.ctx.pipeToSelf(next.ask.relay(then), path => this.#note(`relayed to ${path}`))
  }

  @handles() relayDeferred(next: ActorRef<Subject>, then: ActorRef<Subject>): DeferredReply<string> {
    const reply = this.ctx.deferReply<string>()
    void next.ask.relay(then).then(
      path => reply.resolve(path),
      (error: unknown) => reply.reject(error as Error),
    )
    return reply
  }

  @handles() nested(value: { readonly peer: ActorRef<Subject> }): Promise<string> {
    return this.relay(this.ctx.ref(value.peer))
  }

  @handles() myself(): ActorRef<Subject> {
    return this.ctx.selfAs(Subject)
  }

  @handles() tellLookup(path: string, text: string): void {
    this.ctx.lookup(Subject, path).tell.say(text)
  }

  // watching

  @handles() watch(ref: ActorRef): void {
    this.ctx.watch(ref)
  }

  @handles() watchPath(path: string): void {
    this.ctx.watch(this.ctx.lookup(Subject, path))
  }

  @handles() unwatch(ref: ActorRef): void {
    this.ctx.unwatch(ref)
  }

  /** Watches the child, kills it, and unwatches it before its death can be told. */
  @handles() killAndUnwatch(name: string): void {
    const child = this.#child(name)
    this.ctx.watch(child)
    this.ctx.kill(child)
    this.ctx.unwatch(child)
  }

  // children

  @handles() async spawn(name: string, options: Omit<SpawnOptions, 'name'> = {}): Promise<ActorRef<Subject>> {
    const { args, ...rest } = options
    const { probe } = this.#args
    return this.ctx.spawn(Subject, { name, args: { probe, ...(args as object | undefined) }, ...rest })
  }

  @handles() async stopChild(name: string): Promise<void> {
    await this.ctx.stop(this.#child(name))
  }

  @handles() killChild(name: string): void {
    this.ctx.kill(this.#child(name))
  }

  @handles() childPaths(): string[] {
    return this.ctx.children.map(child => child.path)
  }

  // timers and pipes

  @handles() after(delayMs: number, note: string): void {
    this.ctx.after(delayMs, () => this.#note(note))
  }

  @handles() failingTimer(delayMs: number, sync: boolean): void {
    this.ctx.after(delayMs, () => {
      if (sync) throw new Error('timer threw')
      return Promise.reject(new Error('timer rejected'))
    })
  }

  @handles() every(periodMs: number, note: string, gate?: string): void {
    let turns = 0
    const timer = this.ctx.every(periodMs, async () => {
      turns++
      this.#note(`${note} ${turns}`)
      if (gate !== undefined && turns === 1) await this.#args.probe.ask.pass(gate)
      if (turns === 3) timer.cancel()
    })
  }

  @handles() cancelled(delayMs: number): void {
    const timer = this.ctx.after(delayMs, () => this.#note('a cancelled timer fired'))
    timer.cancel()
  }

  @handles() pipe(gate: string, outcome: 'value' | 'error' | 'throw' | 'unhandled'): void {
    const work = this.#args.probe.ask.pass(gate).then(() => {
      if (outcome === 'error' || outcome === 'unhandled') throw new Error('piped work failed')
      return 'piped'
    })
    const onValue = (value: string): void => {
      if (outcome === 'throw') throw new Error('onValue threw')
      this.#note(`got ${value}`)
    }
    if (outcome === 'unhandled') this.ctx.pipeToSelf(work, onValue)
    else this.ctx.pipeToSelf(work, onValue, error => this.#note(`got ${(error as Error).message}`))
  }

  /** Interjects in the middle of a message, which then waits at the gate. */
  @handles() async interjected(gate: string): Promise<void> {
    this.ctx.interject(() => this.#note('interjects'))
    await this.#args.probe.ask.pass(gate)
    this.#note('ends the message')
  }

  /** Interjects when the gate opens, whatever is under way then. */
  @handles() interjectAt(gate: string, throws: boolean): void {
    void this.#args.probe.ask.pass(gate).then(() =>
      this.ctx.interject(() => {
        if (throws) throw new Error('interjection threw')
        this.#note('interjects')
      }),
    )
  }

  // what an old instance tries

  /** Waits at the gate without keeping the mailbox busy, then tries everything that could have an effect. */
  @handles() linger(gate: string): void {
    const { ctx } = this
    const { probe } = this.#args
    const self = ctx.selfAs(Subject)
    const attempts: Record<string, () => unknown> = {
      tell: () => self.tell.add(1),
      ask: () => self.ask.count(),
      note: () => probe.tell.note('from an old instance'),
      spawn: () => ctx.spawn(Subject, { name: 'late', args: { probe } }),
      watch: () => ctx.watch(probe),
      after: () => ctx.after(1, () => undefined),
      every: () => ctx.every(1, () => undefined),
      pipe: () => ctx.pipeToSelf(Promise.resolve(), () => undefined),
      stopSelf: () => ctx.stopSelf(),
      progress: () => ctx.progress(),
    }
    ctx.signal.addEventListener('abort', () => ctx.interject(() => this.#note('interjects in vain')))
    void probe.ask.pass(gate).then(async () => {
      for (const [name, attempt] of Object.entries(attempts)) {
        try {
          await attempt()
          leftovers.push(`${name}: done`)
        } catch (error) {
          leftovers.push(`${name}: ${String((error as { code?: unknown }).code)}`)
        }
      }
    })
  }

  #child(name: string): ActorRef {
    const child = this.ctx.children.find(ref => ref.path.endsWith(`/${name}`))
    if (child === undefined) throw new Error(`no child ${name}`)
    return child
  }

  #note(text: string): void {
    const name = this.#args.as ?? this.ctx.path.slice(this.ctx.path.lastIndexOf('/') + 1)
    this.#args.probe.tell.note(`${name} ${text}`)
  }

  #life(text: string): void {
    if (this.#args.notes !== false) this.#note(text)
  }

  async #act(where: string): Promise<void> {
    this.ctx.after(1, () => this.#note('timer of the dead'))
    this.ctx.every(1, () => this.#note('timer of the dead'))
    try {
      await this.ctx.spawn(Subject, { name: 'orphan', args: this.#args })
    } catch (error) {
      this.#note(`spawning in ${where}: ${String((error as { code?: unknown }).code)}`)
    }
  }

  #behave(behaviour: Exclude<Behaviour, undefined>, where: string): Promise<void> | undefined {
    if (behaviour === 'throw') throw new Error(`${where} threw`)
    if (behaviour === 'reject') return Promise.reject(new Error(`${where} rejected`))
    if (behaviour === 'act') return this.#act(where)
    if (behaviour === 'stray') {
      setTimeout(() => {
        throw new Error(`${where} went astray`)
      }, 1)
    }
    if (behaviour === 'hang' || behaviour === 'stray') return new Promise(() => undefined)
    return this.#args.probe.ask.pass(behaviour.slice('wait '.length))
  }
}

function describe(reason: DeathReason): string {
  return reason.kind === 'failed' ? `failed, ${(reason.cause as Error).message}` : reason.kind
}
