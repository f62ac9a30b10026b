import fc from 'fast-check'
import t from 'tap'
import { z } from 'zod'
import { checkKill, KILL_FORMS, killAt, parseKill, parseOptions } from '../../src/config/index.js'

const schema = z.strictObject({
  workers: z.number().int().min(1).max(64).default(2),
  mode: z.enum(['exact', 'async']).default('exact'),
  backoff: z.strictObject({ baseMs: z.number().min(0).default(100) }).prefault({}),
})

t.test('options: defaults are applied in one place', async t => {
  t.same(parseOptions(schema, {}, 'job option'), { workers: 2, mode: 'exact', backoff: { baseMs: 100 } })
})

t.test('options: an error names the path, the value got, the limit and the remedy', async t => {
  const cases: [given: unknown, option: string, message: RegExp][] = [
    [
      { workers: 0 },
      'workers',
      /^bad job option 'workers': got 0; .*>=1.* Remedy: correct the named option$/,
    ],
    [{ workers: 65 }, 'workers', /got 65; .*<=64/],
    [{ workers: '2' }, 'workers', /got "2"; .*expected number/],
    [{ mode: 'fast' }, 'mode', /got "fast"; .*"exact"\|"async"/],
    [{ backoff: { baseMs: -1 } }, 'backoff.baseMs', /^bad job option 'backoff.baseMs': got -1/],
    [{ wrokers: 3 }, 'wrokers', /'wrokers': got 3; Unrecognized key/],
  ]
  for (const [given, option, message] of cases) {
    t.throws(() => parseOptions(schema, given, 'job option'), {
      code: 'ERR_INVALID_OPTION',
      message,
      data: { option },
    })
  }
})

t.test('kill: every form is read, and what is written is kept', async t => {
  t.same(parseKill('worker-1@150'), { text: 'worker-1@150', actor: 'worker-1', step: 150 })
  t.same(parseKill('worker-12@1/after-push:ps-3'), {
    text: 'worker-12@1/after-push:ps-3',
    actor: 'worker-12',
    step: 1,
    afterPushTo: 'ps-3',
  })
  t.same(parseKill('supervisor@7'), { text: 'supervisor@7', actor: 'supervisor', step: 7 })
  t.match(parseKill('ps-0@7/during-checkpoint'), { actor: 'ps-0', step: 7, during: 'checkpoint' })
  t.match(parseKill('feeder@7/during-recovery:ps-2'), {
    actor: 'feeder',
    step: 7,
    during: 'recovery',
    recovering: 'ps-2',
  })
  for (const form of KILL_FORMS) t.equal(parseKill(form).text, form)
})

t.test('kill: anything else is refused with the accepted forms and what was got', async t => {
  const bad = [
    '',
    'worker-1',
    'worker-1@',
    'worker-1@0',
    'worker-1@-5',
    'worker-1@1.5',
    'worker-1@99999999999999999999',
    'ps@5',
    'feeder-0@5',
    'chaos@5',
    'worker@5',
    'worker-1@5/',
    'worker-1@5/after-push',
    'worker-1@5/after-push:worker-0',
    'worker-1@5/before-push:ps-0',
    'worker-1@5/during-recovery',
    'worker-1@5/during-recovery:nobody',
    'worker-1@5/during-lunch',
    ' worker-1@5',
    'worker-1@5\n',
  ]
  for (const text of bad) {
    t.throws(
      () => parseKill(text),
      {
        code: 'ERR_INVALID_OPTION',
        message: /such as worker-1@150 or .* or ps-1@150\/during-recovery:worker-1; got ".*"\. Remedy/,
        data: { option: 'kill', value: text },
      },
      JSON.stringify(text),
    )
  }
  fc.assert(
    fc.property(
      fc.nat(63),
      fc.integer({ min: 1, max: 1e9 }),
      fc.option(fc.nat(63)),
      (worker, step, server) => {
        const text = `worker-${worker}@${step}${server === null ? '' : `/after-push:ps-${server}`}`
        const spec = parseKill(text)
        return (
          spec.actor === `worker-${worker}` &&
          spec.step === step &&
          spec.afterPushTo === (server === null ? undefined : `ps-${server}`)
        )
      },
    ),
  )
})

t.test('kill: an actor that the job does not have is refused', async t => {
  const job = { workers: 2, parameterServers: 1 }
  t.doesNotThrow(() => checkKill(parseKill('worker-1@5/after-push:ps-0'), job))
  const cases: [text: string, message: RegExp][] = [
    ['worker-2@5', /^kill worker-2@5: the job has no worker-2; it has worker-0 to worker-1\./],
    ['worker-01@5', /the job has no worker-01/],
    ['worker-1@5/after-push:ps-1', /the job has no ps-1; it has ps-0\./],
    ['ps-1@5', /the job has no ps-1/],
    ['feeder@5/during-recovery:worker-2', /the job has no worker-2/],
  ]
  for (const [text, message] of cases) {
    t.throws(() => checkKill(parseKill(text), job), { code: 'ERR_INVALID_OPTION', message })
  }
})

t.test('kill: a place is met by the kills that are meant for it', async t => {
  const kills = [
    'worker-1@5',
    'worker-1@5/after-push:ps-0',
    'ps-0@8',
    'ps-0@8/during-checkpoint',
    'ps-1@3/during-recovery:ps-0',
  ].map(parseKill)
  const met = (point: Parameters<typeof killAt>[1]): string | undefined => killAt(kills, point)?.text
  t.equal(met({ actor: 'worker-1', step: 5 }), 'worker-1@5')
  t.equal(met({ actor: 'worker-1', step: 6 }), undefined, 'at its own step only')
  t.equal(met({ actor: 'worker-0', step: 5 }), undefined)
  t.equal(met({ actor: 'worker-1', step: 5, afterPushTo: 'ps-0' }), 'worker-1@5/after-push:ps-0')
  t.equal(met({ actor: 'ps-0', step: 9 }), undefined)
  t.equal(met({ actor: 'ps-0', step: 9, late: true }), 'ps-0@8', 'unless it may have been passed by')
  t.equal(met({ step: 7, during: 'checkpoint' }), undefined, 'not before its step')
  t.equal(met({ step: 30, during: 'checkpoint' }), 'ps-0@8/during-checkpoint')
  t.equal(met({ step: 30, during: 'recovery', recovering: 'ps-0' }), 'ps-1@3/during-recovery:ps-0')
  t.equal(met({ step: 30, during: 'recovery', recovering: 'ps-1' }), undefined)
})
