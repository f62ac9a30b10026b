import { Actor, actor, handles, TensorData, type ActorRef } from 'troupe'
import { Idle } from './idle.js'

/** Does to its thread or process what no inline actor may do. Module scope runs there: it is TypeScript. */
@actor('test-rogue', { module: import.meta.url })
export class Rogue extends Actor {
  #count = 0
  readonly #child = 'child'

  @handles() count(): number {
    return ++this.#count
  }

  @handles() pid(): number {
    return process.pid
  }

  @handles() where(): string {
    return import.meta.url
  }

  /** Throws when no handler is under way. */
  @handles() throwLater(message: string): void {
    setTimeout(() => {
      throw new Error(message)
    }, 1)
  }

  @handles() rejectLater(message: string): void {
    void Promise.reject(new Error(message))
  }

  @handles() exit(code: number): void {
    process.exit(code)
  }

  @handles() abort(): void {
    process.abort()
  }

  @handles() signal(signal: string): void {
    process.kill(process.pid, signal)
  }

  /** Writes where a program writes that knows of no actors. */
  @handles() print(text: string): void {
    console.log(text)
    console.error(text)
  }

  @handles() fillMemory(): void {
    const kept: number[][] = []
    for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => i + kept.length / 2))
  }

  /** Blocks its event loop for good. */
  @handles() spin(): void {
    for (;;);
  }

  /** Blocks its event loop until its incarnation begins to end. */
  @handles() spinUntilAborted(): number {
    let turns = 0
    while (!this.ctx.signal.aborted) turns++
    return turns
  }

  @handles() double(tensor: TensorData<'float32'>): TensorData<'float32'> {
    const values = tensor.view().map(value => 2 * value)
    return TensorData.of('float32', values, tensor.shape)
  }

  @handles() async adopt(): Promise<ActorRef<Idle>> {
    return this.ctx.spawn(Idle, { name: this.#child, restart: 'temporary' })
  }

  /** Kills its child twice: the second time it is gone. */
  @handles() killTwice(): void {
    const [child] = this.ctx.children
    if (child === undefined) throw new Error('no child')
    this.ctx.kill(child)
    this.ctx.kill(child)
  }

  /** Defers the reply to a message that is over. */
  @handles() deferLate(): void {
    void Promise.resolve()
      .then(() => new Promise(resolve => setImmediate(resolve)))
      .then(() => this.ctx.deferReply())
      .then(
        () => this.ctx.log.warn('deferred'),
        (error: unknown) => this.ctx.log.warn('refused', { code: (error as { code?: unknown }).code }),
      )
  }

  @handles() log(message: string): void {
    this.ctx.log.info(message, { path: this.ctx.path })
  }
}
