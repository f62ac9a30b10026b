import { Actor, actor, handles, hasCode, Rejected, type DeferredReply } from 'troupe'
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
