import t from 'tap'
import { Actor, actor, Troupe, type ShutdownTask } from 'troupe'
import { VirtualClock } from 'troupe/testing'

@actor('shutdown-witness')
class Witness extends Actor {
  static seen: string[] = []
  override onStop(): void {
    Witness.seen.push('actors')
  }
}

t.test('close: the phases run in order around the end of the actors', async t => {
  Witness.seen = []
  const troupe = await Troupe.start()
  for (const phase of ['disconnect', 'after-actors-stop', 'before-actors-stop'] as const) {
    troupe.onClose({ phase, name: phase, run: () => void Witness.seen.push(phase) })
  }
  await troupe.spawn(Witness, { name: 'witness' })
  await Promise.all([troupe.close(), troupe.close()])
  t.same(Witness.seen, ['before-actors-stop', 'actors', 'after-actors-stop', 'disconnect'])
  t.same(await troupe.closed, { kind: 'stopped' })
})

t.test('close: a task that fails or hangs is told and left behind', async t => {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const nothing = (): void => undefined
  const log = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (_: string, fields?: object) => void warnings.push((fields as { error: string }).error),
  }
  const troupe = await Troupe.start({ clock, log })
  troupe.onClose({
    phase: 'before-actors-stop',
    name: 'broken',
    run: () => Promise.reject(new Error('no')),
  })
  troupe.onClose({
    phase: 'disconnect',
    name: 'hanging',
    timeoutMs: 700,
    run: () => new Promise(() => undefined),
  })
  const closing = troupe.close()
  await clock.advance(700)
  await closing
  t.match(warnings, [
    /shutdown task 'broken' \(before-actors-stop\) failed/,
    /'hanging' \(disconnect\) took longer than 700 ms/,
  ])
  t.equal(troupe.counters().suppressedErrors, 2)
})

t.test('onClose: a task whose phase has begun runs at once, and the phase waits for it', async t => {
  const seen: string[] = []
  const clock = new VirtualClock()
  const troupe = await Troupe.start({ clock })
  const slow = (name: string) => ({
    name,
    phase: 'before-actors-stop' as const,
    run: async () => {
      seen.push(`${name} begins`)
      await new Promise<void>(resolve => clock.after(100, resolve))
      seen.push(`${name} ends`)
    },
  })
  troupe.onClose(slow('listener'))
  troupe.onClose({ name: 'store', phase: 'after-actors-stop', run: () => void seen.push('store') })
  const closing = troupe.close()
  await clock.advance(50)
  troupe.onClose(slow('late listener'))
  await clock.advance(60)
  t.same(seen, ['listener begins', 'late listener begins', 'listener ends'])
  await clock.advance(100)
  await closing
  t.same(seen.slice(3), ['late listener ends', 'store'])
  troupe.onClose({
    name: 'later still',
    phase: 'after-actors-stop',
    run: () => void seen.push('later still'),
  })
  await Promise.resolve()
  t.equal(seen.at(-1), 'later still', 'also when all is over: what it closes would stay open else')
  const failing = { name: 'x', phase: 'disconnect' as const, run: () => Promise.reject(new Error('no')) }
  troupe.onClose(failing)
  await new Promise(resolve => setImmediate(resolve))
  t.equal(troupe.counters().suppressedErrors, 1)
})

t.test('onClose: refuses what is no phase', async t => {
  await using troupe = await Troupe.start()
  t.throws(
    () => troupe.onClose({ phase: 'later', name: 'x', run: () => undefined } as unknown as ShutdownTask),
    {
      code: 'ERR_INVALID_OPTION',
      data: { option: 'phase', value: 'later' },
    },
  )
})
