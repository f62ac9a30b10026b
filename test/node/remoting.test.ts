import t from 'tap'
import { Actor, actor, handles } from 'troupe'
import { simulate } from 'troupe/testing'

@actor('remoting-counter')
class Counter extends Actor {
  #count = 0
  @handles() add(by: number) {
    this.#count += by
  }
  @handles() count() {
    return this.#count
  }
}

t.test('Remoting: tells and asks reach an actor on another node', async t => {
  const report = await simulate({ seed: 1, keepTrace: true }, async sim => {
    await sim.node('a').troupe.spawn(Counter, { name: 'counter' })
    const remote = sim.node('c').troupe.lookup(Counter, '/counter')
    remote.tell.add(2)
    remote.tell.add(3)
    t.equal(await remote.ask.count(), 5)
  })
  console.error(report.trace.join('\n'), report.events)
})
