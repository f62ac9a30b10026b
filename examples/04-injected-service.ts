/**
 * A custom actor with an injected service: its constructor names what it needs, the runtime provides it.
 * Shows a token, a provider, arguments of a spawn, and how a test would put in another service.
 *
 * npm run build && node dist/examples/04-injected-service.js
 */
import { Actor, actor, Args, Clock, handles, inject, token, Troupe } from 'troupe'

/** What the actor needs; who provides it is not its business. */
interface Rates {
  euroTo(currency: string): Promise<number>
}
const Rates = token<Rates>('example.Rates')

@actor('exchange')
class Exchange extends Actor {
  readonly #rates: Rates
  readonly #clock: Clock
  readonly #currency: string

  constructor(
    @inject(Rates) rates: Rates,
    @inject(Clock) clock: Clock,
    @inject(Args) args: { currency: string },
  ) {
    super()
    this.#rates = rates
    this.#clock = clock
    this.#currency = args.currency
  }

  @handles() async quote(euros: number): Promise<{ text: string; year: number }> {
    const rate = await this.#rates.euroTo(this.#currency)
    const year = new Date(this.#clock.now()).getUTCFullYear()
    return { text: `${euros} EUR = ${(euros * rate).toFixed(2)} ${this.#currency}`, year }
  }
}

const fixed: Rates = {
  euroTo: currency =>
    currency === 'CHF' ? Promise.resolve(0.95) : Promise.reject(new Error(`no rate for ${currency}`)),
}

// The constructor's parameters come from here; a test provides other values for the same tokens.
const stoppedClock: Clock = {
  now: () => Date.UTC(1999, 11, 31),
  monotonic: () => 0,
  after: () => ({ cancel: () => undefined, hold: () => undefined }),
}

await using troupe = await Troupe.start({ provide: [{ token: Rates, value: fixed }] })
const exchange = await troupe.spawn(Exchange, { name: 'exchange', args: { currency: 'CHF' } })
console.log((await exchange.ask.quote(100)).text)

await using test = await Troupe.start({
  name: 'test',
  provide: [
    { token: Rates, value: { euroTo: () => Promise.resolve(2) } satisfies Rates },
    { token: Clock, value: stoppedClock },
  ],
})
const tested = await test.spawn(Exchange, { name: 'exchange', args: { currency: 'XYZ' } })
const { text, year } = await tested.ask.quote(21)
console.log(`with another service and clock: ${text}, in ${year}`)
