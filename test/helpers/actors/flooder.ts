import { Actor, actor, handles, type ActorRef } from 'troupe'
import type { Sequencer } from './sequencer.js'

/** Messages that a burst sends before it lets others have a turn. */
const SLICE = 500

/** Sends a lot: to others, or to itself. */
@actor('test-flooder', { module: import.meta.url })
export class Flooder extends Actor {
  #rounds = 0
  #flooding = false

  /** Sends `count` numbers, in slices that mix with those of other senders. */
  @handles() async burst(target: ActorRef<Sequencer>, sender: string, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      target.tell.take(sender, i)
      if (i % SLICE === SLICE - 1) await new Promise(resolve => setImmediate(resolve))
    }
  }

  /** From now on always has a message to itself in its mailbox. */
  @handles() flood(): void {
    this.#flooding = true
    this.ctx.selfAs(Flooder).tell.round()
  }

  @handles() round(): void {
    this.#rounds++
    if (this.#flooding) this.ctx.selfAs(Flooder).tell.round()
  }

  /** Ends the flood; how many rounds it had. */
  @handles() rounds(): number {
    this.#flooding = false
    return this.#rounds
  }
}
