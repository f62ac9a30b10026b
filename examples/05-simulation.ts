/**
 * An actor under simulation: a whole cluster in one thread, with virtual time and a network that loses messages.
 * Shows a transfer of money that looks right, the seed and the one fault that break it, and a version that holds.
 *
 * npm run build && node dist/examples/05-simulation.js
 */
import { Actor, actor, handles, TroupeError } from 'troupe'
import { explore, randomPlan, simulate, type Fault, type Simulation } from 'troupe/testing'

@actor('account')
class Account extends Actor {
  #cents = 100
  readonly #seen = new Set<string>()

  @handles() balance(): number {
    return this.#cents
  }

  @handles() change(cents: number): void {
    this.#cents += cents
  }

  /** The same change may come twice: it counts once. */
  @handles() changeOnce(change: { id: string; cents: number }): void {
    if (this.#seen.has(change.id)) return
    this.#seen.add(change.id)
    this.#cents += change.cents
  }
}

/** How one account's money gets to the other: what is on trial. */
type Transfer = (simulation: Simulation, number: number) => Promise<void>

/** Node a has one account, node b the other, and ten cents go from a to b, ten times. */
const trial = (transfer: Transfer) => async (simulation: Simulation) => {
  const [alice, bob] = [simulation.node('a').troupe, simulation.node('b').troupe]
  const from = await alice.spawn(Account, { name: 'alice' })
  const to = await bob.spawn(Account, { name: 'bob' })
  for (let number = 0; number < 10; number++) {
    await transfer(simulation, number)
    await simulation.sleep(300)
  }
  await simulation.sleep(5_000)
  const sum = (await from.ask.balance()) + (await to.ask.balance())
  simulation.always('no money is lost or made', sum === 200, `${sum} cents instead of 200`)
}

const naive: Transfer = async simulation => {
  const { troupe } = simulation.node('a')
  await troupe.lookup(Account, '/alice').ask.change(-10)
  troupe.lookup(Account, '/bob').tell.change(10) // a message arrives at most once
}

const careful: Transfer = async (simulation, number) => {
  const { troupe } = simulation.node('a')
  await troupe.lookup(Account, '/alice').ask.change(-10)
  const change = { id: `transfer-${number}`, cents: 10 }
  for (let settled = false; !settled;) {
    try {
      await troupe.lookup(Account, '/bob').ask.with({ timeoutMs: 300 }).changeOnce(change)
      settled = true
    } catch (error) {
      // Of a timeout the outcome is unknown: asking again is right because the account counts a change once.
      if (!(error instanceof TroupeError)) throw error
    }
  }
}

const cluster = {
  nodes: ['a', 'b'],
  plan: randomPlan({ kinds: ['drop', 'delay', 'reorder', 'duplicate', 'partition'] }),
}

try {
  await explore({ ...cluster, name: 'naive transfer', print: () => undefined }, trial(naive))
} catch (error) {
  if (!(error instanceof TroupeError)) throw error
  const { seed, faults, faultsBefore } = error.data as {
    seed: number
    faults: readonly Fault[]
    faultsBefore: number
  }
  const failure = (error.cause as Error).cause as Error
  console.log(`naive transfer: seed ${seed} breaks it: ${failure.message.split('. Remedy')[0]!}`)
  console.log(`of ${faultsBefore} faults these suffice: ${faults.map(fault => fault.kind).join(', ')}`)
}

const report = await explore({ ...cluster, name: 'careful transfer' }, trial(careful))
const minutes = Math.round(report.virtualMs / 60_000)
console.log(`careful transfer: holds for ${report.seeds} seeds, ${minutes} minutes of virtual time`)

const first = await simulate({ seed: 7, nodes: ['a', 'b'] }, trial(careful))
const second = await simulate({ seed: 7, nodes: ['a', 'b'] }, trial(careful))
console.log('the same seed gives the same run:', first.traceSha256 === second.traceSha256)
