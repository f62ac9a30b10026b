import fc from 'fast-check'
import t from 'tap'
import { VirtualClock } from '../../src/simulation/index.js'
import { TimerQueue, type QueuedTimer } from '../../src/simulation/timer-queue.js'

t.test('VirtualClock: time stands still until it is moved', async t => {
  const clock = new VirtualClock({ epochMs: 1_000 })
  t.equal(clock.now(), 1_000)
  t.equal(clock.monotonic(), 0)
  await clock.advance(250)
  t.equal(clock.now(), 1_250)
  t.equal(clock.monotonic(), 250)
  await t.rejects(clock.advance(-1), { code: 'ERR_INVALID_OPTION' })
})

t.test('VirtualClock: timers fire in order of time, equal ones in the order they were set', async t => {
  const clock = new VirtualClock()
  const fired: string[] = []
  const at = (name: string) => () => fired.push(`${name}@${clock.monotonic()}`)
  clock.after(20, at('c'))
  clock.after(10, at('a'))
  clock.after(10, at('b'))
  clock.after(-5, at('now'))
  clock.after(21, at('later'))
  t.equal(clock.pending, 5)
  await clock.advance(20)
  t.same(fired, ['now@0', 'a@10', 'b@10', 'c@20'])
  t.equal(clock.pending, 1)
})

t.test('VirtualClock: what a timer starts runs before the next timer, and its own timers count', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  clock.after(10, () => {
    void (async () => {
      for (let i = 0; i < 50; i++) await Promise.resolve()
      log.push('settled')
      clock.after(5, () => log.push('nested'))
    })()
  })
  clock.after(20, () => log.push('second'))
  await clock.advance(20)
  t.same(log, ['settled', 'nested', 'second'])
})

t.test(
  'VirtualClock: a cancelled timer never fires, cancelling twice or after it fired does nothing',
  async t => {
    const clock = new VirtualClock()
    let fired = 0
    const timer = clock.after(1, () => fired++)
    const other = clock.after(2, () => fired++)
    timer.cancel()
    timer.cancel()
    t.equal(clock.pending, 1)
    t.equal(await clock.advanceToNext(), true)
    other.cancel()
    t.equal(await clock.advanceToNext(), false)
    t.equal(fired, 1)
    t.equal(clock.monotonic(), 2)
  },
)

t.test('TimerQueue: pops by (time, order) whatever is added and removed', t => {
  const operation = fc.oneof(
    fc.record({ add: fc.nat(20) }),
    fc.record({ remove: fc.nat(40) }),
    fc.record({ free: fc.nat(40) }),
    fc.constant({ pop: true as const }),
  )
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), operations => {
      const queue = new TimerQueue<undefined>()
      let model: QueuedTimer<undefined>[] = []
      const free = new Set<QueuedTimer<undefined>>()
      for (const step of operations) {
        if ('add' in step) model.push(queue.add(step.add, undefined, () => {}))
        else if ('remove' in step) {
          const victim = model[step.remove % (model.length || 1)]
          victim?.cancel()
          model = model.filter(timer => timer !== victim)
        } else if ('free' in step) {
          const timer = model[step.free % (model.length || 1)]
          if (timer !== undefined) free.add(timer)
          timer?.hold(false)
        } else {
          model.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)
          if (queue.pop() !== model.shift()) return false
        }
        const due = new Set(queue.due(10))
        if (queue.held !== model.filter(timer => !free.has(timer)).length) return false
        if (due.size !== model.filter(timer => timer.dueMs <= 10).length) return false
      }
      return queue.size === model.length
    }),
  )
  t.end()
})
