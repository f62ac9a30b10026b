/**
 * Supervision: an actor crashes, and is started again.
 * Shows what a restart keeps (the address, the mailbox) and loses (the state, the failing message), and what happens
 * when crashing does not stop: the supervisor gives up, and the whole causal chain is told.
 *
 * npm run build && node dist/examples/02-supervision.js
 */
import { Actor, actor, handles, Troupe, type StartCause, type SupervisionOptions } from 'troupe'

@actor('till')
class Till extends Actor {
  #total = 0

  override onStart(cause: StartCause): void {
    if (cause.kind === 'spawned') console.log('till: open')
    else if (cause.reason.kind === 'failed') {
      console.log(`till: open again (restart ${cause.restarts}), after ${String(cause.reason.cause)}`)
    }
  }

  @handles() sell(price: number): void {
    if (!Number.isFinite(price)) throw new TypeError(`price is ${price}`)
    this.#total += price
    console.log(`till: sold for ${price}, ${this.#total} in the drawer`)
  }

  @handles() total(): number {
    return this.#total
  }
}

@actor('shop')
class Shop extends Actor {
  // More than two restarts in a minute, and the shop itself fails.
  static readonly supervision: SupervisionOptions = {
    strategy: 'one-for-one',
    maxRestarts: 2,
    withinMs: 60_000,
    backoff: { baseMs: 10 },
  }

  override async onStart(): Promise<void> {
    await this.ctx.spawn(Till, { name: 'till' })
  }
}

// Nobody supervises the shop but the root, which gives up at once here, so that the end is seen.
await using troupe = await Troupe.start({ supervision: { maxRestarts: 0 } })
await troupe.spawn(Shop, { name: 'shop' })
const till = troupe.lookup(Till, '/shop/till')

till.tell.sell(5)
till.tell.sell(Number.NaN) // crashes the till: this message is dropped …
till.tell.sell(7) // … and this one, already in the mailbox, is kept for the next incarnation
console.log('the drawer was emptied by the crash:', await till.ask.total())

till.tell.sell(Number.NaN)
till.tell.sell(Number.NaN)
const end = await troupe.closed
console.log('the runtime ended:', end.kind)
