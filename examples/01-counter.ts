/**
 * An actor: an object with a mailbox that handles one message at a time.
 * Shows tell and ask, a refusal that the actor survives, and an ask that times out.
 *
 * npm run build && node dist/examples/01-counter.js
 */
import { Actor, actor, handles, Rejected, Troupe, TroupeError } from 'troupe'

@actor('counter')
class Counter extends Actor {
  #count = 0

  @handles() add(by: number): number {
    if (by < 0) throw new Rejected('NEGATIVE', `this counter only grows; got ${by}`)
    this.#count += by
    return this.#count
  }

  @handles() count(): number {
    return this.#count
  }

  /** One message at a time, also across `await`: nothing else is handled before this ends. */
  @handles() async addSlowly(by: number): Promise<number> {
    const before = this.#count
    await Promise.resolve()
    this.#count = before + by
    return this.#count
  }

  @handles() stall(): Promise<void> {
    return new Promise(resolve => {
      this.ctx.signal.addEventListener('abort', () => resolve())
    })
  }
}

await using troupe = await Troupe.start()
const counter = await troupe.spawn(Counter, { name: 'counter' })

counter.tell.add(2) // sent, not waited for
console.log('after telling it 2:', await counter.ask.count())

const slow = await Promise.all([counter.ask.addSlowly(10), counter.ask.addSlowly(10)])
console.log('two additions at once do not overlap:', slow.join(', '))

try {
  await counter.ask.add(-5)
} catch (error) {
  if (error instanceof Rejected) console.log(`refused: ${error.code}: ${error.message}`)
}
console.log('and still alive:', await counter.ask.count())

try {
  await counter.ask.with({ timeoutMs: 50 }).stall()
} catch (error) {
  if (error instanceof TroupeError) console.log('no answer within 50 ms:', error.code)
}
