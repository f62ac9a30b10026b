import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

// The jobs among them train, on a machine of whatever speed.
t.setTimeout(600_000)

/** Runs an example from source, alone in a process of its own. */
function runExample(name: string): Promise<Ended> {
  return runSource(`examples/${name}.ts`)
}

/** Runs an example that is a job, as `troupe run` does; on the backend that every machine has. */
function runJob(name: string, ...options: string[]): Promise<Ended> {
  return runSource('src/cli/main.ts', 'run', `examples/${name}.ts`, '--backend', 'wasm', ...options)
}

function runSource(...argv: string[]): Promise<Ended> {
  return startSource(argv, () => undefined)
}

/** @param onOutput told all that was printed so far */
function startSource(
  argv: string[],
  onOutput: (stdout: string, child: ChildProcess) => void,
): Promise<Ended> {
  const child = spawn(process.execPath, ['--conditions=troupe-source', '--import', 'tsx', ...argv], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    onOutput(stdout, child)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise(resolve => {
    child.on('close', code => resolve({ stdout, stderr, code }))
  })
}

t.test('01: messages one at a time, a refusal, a timeout', async t => {
  const { stdout, stderr, code } = await runExample('01-counter')
  t.equal(
    stdout,
    [
      'after telling it 2: 2',
      'two additions at once do not overlap: 12, 22',
      'refused: NEGATIVE: this counter only grows; got -5',
      'and still alive: 22',
      'no answer within 50 ms: ERR_ASK_TIMEOUT',
      '',
    ].join('\n'),
  )
  t.same([stderr, code], ['', 0])
})

t.test('02: a crash, the restart, and a supervisor that gives up with the causal chain', async t => {
  const { stdout, stderr, code } = await runExample('02-supervision')
  t.equal(
    stdout,
    [
      'till: open',
      'till: sold for 5, 5 in the drawer',
      'till: open again (restart 1), after TypeError: price is NaN',
      'till: sold for 7, 7 in the drawer',
      'the drawer was emptied by the crash: 7',
      'till: open again (restart 2), after TypeError: price is NaN',
      'the runtime ended: failed',
      '',
    ].join('\n'),
  )
  t.match(
    stderr,
    /^runtime 'troupe' failed: ERR_RESTART_INTENSITY: \/shop ended .*\n {2}caused by .*\/shop\/till ended .*\n {2}caused by TypeError: price is NaN\n$/,
  )
  t.equal(code, 0, 'the process of an embedding program is its own affair')
})

t.test('03: a death is told once, to those who watch in time and to those who come late', async t => {
  const { stdout, stderr, code } = await runExample('03-watch-and-timers')
  t.equal(
    stdout,
    [
      '/patient ended: failed: Error: the heart stopped',
      'told late: /patient ended: failed: Error: the heart stopped',
      'asking the dead: ERR_ACTOR_FAILED',
      '',
    ].join('\n'),
  )
  t.same([stderr, code], ['', 0])
})

t.test('04: services come from outside, and a test puts in others', async t => {
  const { stdout, stderr, code } = await runExample('04-injected-service')
  t.equal(stdout, '100 EUR = 95.00 CHF\nwith another service and clock: 21 EUR = 42.00 XYZ, in 1999\n')
  t.same([stderr, code], ['', 0])
})

t.test('05: a simulation finds the seed that loses money, and the careful version holds', async t => {
  const { stdout, stderr, code } = await runExample('05-simulation')
  t.match(stdout.split('\n'), [
    /^naive transfer: seed \d+ breaks it: always 'no money is lost or made' does not hold: \d+ cents instead of 200/,
    /^of \d+ faults these suffice: (drop|partition|delay|reorder|duplicate)$/,
    /^careful transfer: holds for 100 seeds, \d+ minutes of virtual time$/,
    'the same seed gives the same run: true',
    '',
  ])
  t.same([stderr, code], ['', 0])
})

/** Chance and figures of the machine left out: what a job printed of its own, without who said it. */
function said(stdout: string, text: RegExp): string[] {
  return [...stdout.matchAll(new RegExp(`worker-\\d \\| (${text.source})$`, 'gm'))].map(match => match[1]!)
}

t.test('07: a convolutional network by fit, its workers killed in a validation and in a step', async t => {
  const kills = ['--kill', 'worker-0@80/during-validation', '--kill', 'worker-1@100']
  const { stdout, stderr, code } = await runJob('07-cnn-fit', ...kills)
  t.same([stderr, code], ['', 0])
  const accuracy = Number(/^test accuracy +([\d.]+) %$/m.exec(stdout)?.[1])
  t.ok(accuracy > 75, `accuracy ${accuracy} %`)
  const lines = said(stdout, /epoch \d: accuracy .*/)
  t.equal(new Set(lines).size, 3, 'both workers see the same figures, before and after their deaths')
  t.match(stdout, /^exact +yes/m)
  t.match(stdout, /2 restarts, backend wasm/)
})

t.test('08: a regression on a CSV file, stopped early at the same epoch whoever is killed', async t => {
  const calm = await runJob('08-csv-regression')
  const killed = await runJob(
    '08-csv-regression',
    ...['--kill', 'worker-1@60', '--kill', 'worker-0@100/during-validation'],
  )
  t.same([calm.stderr, calm.code, killed.stderr, killed.code], ['', 0, '', 0])
  const result = /\d+ epochs; off by \d+ g .*/
  t.equal(said(calm.stdout, result).length, 2)
  t.same(said(killed.stdout, result), said(calm.stdout, result))
  const hash = /^weights SHA-256 +([0-9a-f]{64})$/m
  t.equal(hash.exec(killed.stdout)?.[1], hash.exec(calm.stdout)?.[1] ?? 'none')
})

t.test('09: a plain minimize loop that stops at a goal, taken up where its workers were killed', async t => {
  const kills = ['--kill', 'worker-1@10/after-push:ps-0', '--kill', 'worker-0@30']
  const { stdout, stderr, code } = await runJob('09-minimize-loop', ...kills)
  t.same([stderr, code], ['', 0])
  const lines = said(stdout, /\d+ steps to a loss of .*/)
  t.equal(lines.length, 2)
  t.equal(lines[0], lines[1], 'both workers stop at the same step')
  t.match(stdout, /^exact +yes/m)
  t.match(stdout, /2 restarts/)
})

t.test('10: Ctrl-C takes a last checkpoint; the job goes on from it as if nothing had happened', async t => {
  const place = t.testdir()
  const options = ['--checkpoints', place, '--plain']
  let pressed = false
  const stopped = await startSource(
    ['src/cli/main.ts', 'run', 'examples/10-resume.ts', '--backend', 'wasm', ...options],
    (stdout, child) => {
      if (pressed || !stdout.includes('epoch 2:')) return
      pressed = true
      child.kill('SIGINT')
    },
  )
  t.same([stopped.stderr, stopped.code], ['', 130])
  t.match(stopped.stdout, /stopped after step \d+; --resume goes on from there\n$/)

  const resumed = await runJob('10-resume', ...options, '--resume', '--servers', '3', '--kill', 'ps-2@400')
  const calm = await runJob('10-resume')
  t.same([resumed.stderr, resumed.code, calm.stderr, calm.code], ['', 0, '', 0])
  t.match(resumed.stdout, /goes on after step \d+ from .*step-\d+/)
  t.match(resumed.stdout, /^\+ ps-2: killed; restored at step [\d,]+, .*; [\d.]+ s$/m)
  const hash = /^weights SHA-256 +([0-9a-f]{64})$/m
  t.equal(hash.exec(resumed.stdout)?.[1], hash.exec(calm.stdout)?.[1] ?? 'none')
  t.match(resumed.stdout, /^exact +yes/m)
  t.match(resumed.stdout, new RegExp(`^checkpoint +${place}/g0003/step-\\d+$`, 'm'))
  // What was said after the last step of a checkpoint may be said again, and so may all that a rollback repeats.
  const epochs = [...resumed.stdout.matchAll(/epoch (\d+): loss/g)].map(([, epoch]) => Number(epoch))
  t.ok(epochs[0]! >= 2, `epochs that were over are not told again: ${epochs.join(' ')}`)
  t.equal(epochs.at(-1), 12)
})
