import { Actor, actor, handles, type DeferredReply } from 'troupe'

export interface Received {
  readonly total: number
  readonly outOfOrder: number
  readonly senders: number
}

/** Checks that the numbers of each sender arrive as 0, 1, 2, … */
@actor('test-sequencer', { module: import.meta.url })
export class Sequencer extends Actor {
  readonly #next = new Map<string, number>()
  #total = 0
  #outOfOrder = 0
  #waiting: { readonly total: number; readonly reply: DeferredReply<Received> } | undefined

  @handles() take(sender: string, number: number): void {
    const expected = this.#next.get(sender) ?? 0
    if (number !== expected) this.#outOfOrder++
    this.#next.set(sender, number + 1)
    this.#total++
    if (this.#total === this.#waiting?.total) this.#waiting.reply.resolve(this.#seen)
  }

  /** Answered once that many have come. */
  @handles() whenReceived(total: number): DeferredReply<Received> {
    const reply = this.ctx.deferReply<Received>()
    if (this.#total >= total) reply.resolve(this.#seen)
    else this.#waiting = { total, reply }
    return reply
  }

  get #seen(): Received {
    return { total: this.#total, outOfOrder: this.#outOfOrder, senders: this.#next.size }
  }
}
