import { spawnSync } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { explore, REPLAY_VARIABLE, simulate, type FaultPlan } from 'troupe/testing'
import type { TroupeError } from '../../src/errors.js'
import { ALL_SABOTAGES, sabotaged, type Sabotage } from '../../src/simulation/sabotage.js'
import { TRACED_FAULTS, traceHash } from './trace-hash.js'
import { workload, workloadOptions } from './workload.js'

const SEEDS = 300

// seconds on a quiet machine, a minute and more beside other test files
t.setTimeout(300_000)

/** What the seeds must have come across, else they have tested less than they say. */
const EXPECTED = [
  'a watch fired with stopped',
  'a watch fired with node-lost',
  'a watch fired with never-existed',
  'an ask ended with REFUSED',
  'an ask ended with ERR_ASK_TIMEOUT',
  'an ask ended with ERR_NODE_LOST',
  'an ask ended with ERR_NODE_FENCED',
  'an ask ended with ERR_ACTOR_FAILED',
  'an ask ended with ERR_ACTOR_NOT_FOUND',
  'an ask ended with ERR_REPLY_LOST',
  'an ask ended with ERR_MAILBOX_FULL',
  'an ask ended with ERR_SEND_BUFFER_FULL',
]

t.test(`Promises 1, 2, 3, 8 and 9 hold for ${SEEDS} seeds of actors on nodes that fail`, async t => {
  const report = await explore(
    { ...workloadOptions, name: 'workload', seeds: SEEDS, expect: EXPECTED },
    workload,
  )
  t.equal(report.seeds, SEEDS)
  t.comment(`${report.events} events`, report.faults)
})

/** The promise that each breaks, and how many seeds may pass before one sees it. */
const FOUND_BY: Record<Sabotage, RegExp> = {
  'duplicates-accepted':
    /promise 1: a message arrives at most once|promise 1: messages of a pair arrive in order/,
  'returned-last': /promise 1: messages of a pair arrive in order/,
  'asks-forgotten-on-crash': /promise 2: /,
  'watches-lost-on-crash': /promise 3: /,
  'system-messages-once': /promise [23]: /,
  'stale-accepted': /promise 8: /,
}
const WITHIN_SEEDS = 150

for (const sabotage of ALL_SABOTAGES) {
  t.test(`The seeds find the product broken on purpose: ${sabotage}`, async t => {
    const printed: string[] = []
    const options = {
      ...workloadOptions,
      name: sabotage,
      seeds: WITHIN_SEEDS,
      print: (line: string) => void printed.push(line),
    }
    const failure = await failing(sabotaged(sabotage, () => explore(options, workload)))
    t.equal(failure.code, 'ERR_EXPLORATION_FAILED')
    t.match(String(causeOf(failure)), FOUND_BY[sabotage])
    const { faults, faultsBefore, replay } = failure.data as {
      faults: FaultPlan
      faultsBefore: number
      replay: string
    }
    t.ok(faults.length <= faultsBefore, `${faults.length} of ${faultsBefore} faults are left`)
    t.same(printed, [`replay: ${replay}`])

    // the printed line repeats that run, and that run alone
    process.env[REPLAY_VARIABLE] = /^TROUPE_REPLAY='(.*)' /.exec(replay)?.[1]
    try {
      const again = await failing(sabotaged(sabotage, () => explore(options, workload)))
      t.equal(
        causeOf(again).message,
        causeOf(failure).message,
        'the replay fails in the same way at the same time',
      )
      t.equal(again.data['seed'], failure.data['seed'])
    } finally {
      delete process.env[REPLAY_VARIABLE]
    }
  })
}

t.test('Promise 10: the same seed gives a byte-identical trace, in another process too', async t => {
  const once = await simulate(
    { ...workloadOptions, seed: 11, faults: TRACED_FAULTS, keepTrace: true },
    workload,
  )
  const twice = await simulate(
    { ...workloadOptions, seed: 11, faults: TRACED_FAULTS, keepTrace: true },
    workload,
  )
  t.same(twice.trace, once.trace)
  t.equal(twice.traceSha256, once.traceSha256)
  t.equal(twice.events, once.events)
  t.ok(once.events > 500, `${once.events} events`)
  t.not(await traceHash(12), once.traceSha256, 'another seed gives another run')

  const script = fileURLToPath(new URL(`./trace-hash${extname(import.meta.url)}`, import.meta.url))
  const child = spawnSync(process.execPath, [...process.execArgv, script, '11'], { encoding: 'utf8' })
  t.equal(child.stdout.trim(), once.traceSha256, child.stderr)
})

async function failing(work: Promise<unknown>): Promise<TroupeError> {
  try {
    await work
  } catch (error) {
    return error as TroupeError
  }
  throw new Error('nothing failed')
}

/** The check that did not hold: behind the exploration's and the run's own error. */
function causeOf(failure: TroupeError): Error {
  return (failure.cause as Error).cause as Error
}
