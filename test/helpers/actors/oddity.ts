import { Actor, actor, handles, hasCode, Rejected, type ActorRef, type DeferredReply } from 'troupe'
import { Idle } from './idle.js'

/** What is legal but rare. */
@actor('test-oddity', { module: import.meta.url })
export class Oddity extends Actor {
  /** Defers its reply, and answers with what cannot travel; says with which code that was refused. */
  @handles() answerWrong(): DeferredReply<unknown> {
    const reply = this.ctx.deferReply<unknown>()
    try {
      reply.resolve(() => undefined)
    } catch (error) {
      reply.reject(new Rejected(hasCode(error, 'ERR_PAYLOAD') ? 'REFUSED' : 'OTHER'))
    }
    return reply
  }

  /** Stops a child that has stopped before. */
  @handles() async stopTwice(): Promise<number> {
    const child = await this.ctx.spawn(Idle, { name: 'child' })
    await this.ctx.stop(child)
    await this.ctx.stop(child)
    return this.ctx.children.length
  }

  /** Kills a child that is gone; says which code killing a stranger has. */
  @handles() async killTwice(): Promise<string> {
    const child = await this.ctx.spawn(Idle, { name: 'child', restart: 'temporary' })
    this.ctx.kill(child)
    this.ctx.kill(child)
    this.ctx.kill(this.ctx.lookup(Idle, `${this.ctx.path}/never`))
    try {
      this.ctx.kill(this.ctx.self)
    } catch (error) {
      return String((error as { code?: unknown }).code)
    }
    return 'killed itself'
  }

  /** Fails, or refuses, with an error on which hangs what cannot travel. */
  @handles() failWith(what: 'error' | 'rejected' | 'text'): void {
    const data = { callback: () => 1, at: new Date(5) }
    // oxlint-disable-next-line typescript/only-throw-error -- users do
    if (what === 'text') throw 'no error at all'
    throw what === 'rejected'
      ? new Rejected('HEAVY', 'with a function', data)
      : Object.assign(new Error('with a function'), { data, cause: data.callback })
  }

  /** The code that another one's failure has here. */
  @handles() async askToFail(other: ActorRef<Oddity>, what: 'error' | 'rejected'): Promise<string> {
    return other.ask.failWith(what).then(
      () => 'no failure',
      (error: unknown) => String((error as { code?: unknown }).code),
    )
  }

  @handles() deferThenFail(settled: boolean): DeferredReply<string> {
    const reply = this.ctx.deferReply<string>()
    if (settled) reply.resolve('settled before')
    throw new Error('thought better of it')
  }

  @handles() async deferThenRefuse(): Promise<DeferredReply<string>> {
    this.ctx.deferReply<string>()
    await Promise.resolve()
    throw new Rejected('NO_ROOM')
  }

  @handles() async lease(name: string, leaseMs: number): Promise<void> {
    await this.ctx.spawn(Idle, { name, lifetime: 'leased', leaseMs })
  }

  /** Spawns a class that the runtime has yet to load. */
  @handles() spawnUnknown(): void {
    void import('../../fixtures/threads/gated-actor.js').then(({ Gated }) =>
      this.ctx.spawn(Gated, { name: 'late' }),
    )
  }

  @handles() childCount(): number {
    return this.ctx.children.length
  }

  @handles() fail(): void {
    throw new Error('told to')
  }

  /** Blocks its event loop for a while, then ends its thread, both outside of any message. */
  @handles() blockThenExit(blockedMs: number): void {
    setTimeout(() => {
      const end = Date.now() + blockedMs
      while (Date.now() < end);
      process.exit(7)
    }, 1)
  }
}
