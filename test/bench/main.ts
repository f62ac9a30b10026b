// npm run bench -- [NAME…] [--json] [--check] [--rounds N] [--case TEXT] [--bare]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem, type as osType } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkName, integerOption, readCommandLine, runMain } from '../helpers/options.js'
import { runBench, type Bench, type BenchRun } from './harness.js'

/** Every bench: a module of this folder that exports it as default. */
const BENCHES = [
  'actor',
  'wire',
  'simulation',
  'server',
  'pushpull',
  'feed',
  'checkpoint',
  'hdfs',
  'recovery',
  'replay',
  'process',
  'step',
] as const

const DEFAULT_ROUNDS = 5

const USAGE = `npm run bench -- [NAME…] [options]

  NAME         a bench: ${BENCHES.join(', ')}; all of them if none is named
  --json       one JSON object a line: first the machine, then a figure each
  --check      exit with code 1 if a bar is missed
  --rounds N   measured rounds of each arm, after one that warms up (default ${DEFAULT_ROUNDS})
  --bare       without the description of the machine
  --case TEXT  only the arms whose case begins with TEXT; bars on others are left out
`

/** From dist/test/bench. */
const ROOT = resolve(import.meta.dirname, '../../..')

async function versions(benches: readonly Bench[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  const read = async (folder: string): Promise<void> => {
    const text = await readFile(join(ROOT, folder, 'package.json'), 'utf8')
    const { name, version } = JSON.parse(text) as { name: string; version: string }
    found[name] = version
  }
  await read('.')
  for (const name of benches.flatMap(bench => bench.packages)) await read(join('node_modules', name))
  return found
}

async function describeMachine(benches: readonly Bench[]): Promise<Record<string, unknown>> {
  return {
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      system: `${osType()} ${release()} ${process.arch}`,
    },
    node: process.version,
    versions: await versions(benches),
    loadAverage: loadavg().map(load => Math.round(load * 100) / 100),
  }
}

/** Four significant digits, and no exponent. */
function short(value: number): string {
  return value >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(4)))
}

/** Six significant digits: more of them are noise. */
function six(value: number): number {
  return Number(value.toPrecision(6))
}

function printTable(run: BenchRun): void {
  const rows = [['bench', 'case', 'median', 'min', 'max', 'samples', 'unit', 'better']]
  for (const each of run.figures) {
    const { bench, value, min, max, samples, unit, better } = each
    rows.push([bench, each.case, short(value), short(min), short(max), String(samples), unit, better])
  }
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length)))
  for (const row of rows) {
    const cells = row.map((cell, column) => {
      const numeric = column >= 2 && column <= 5
      return numeric ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
    })
    process.stdout.write(`${cells.join('  ').trimEnd()}\n`)
  }
  for (const bar of run.bars) {
    process.stdout.write(`${bar.met ? 'met   ' : 'MISSED'}  ${bar.bar}: ${short(bar.value)}\n`)
  }
  process.stdout.write('\n')
}

function printLines(run: BenchRun, withBars: boolean): void {
  for (const { bench, case: name, value, unit, samples, min, max } of run.figures) {
    const figure = { bench, case: name, value: six(value), unit, samples, min: six(min), max: six(max) }
    process.stdout.write(`${JSON.stringify(figure)}\n`)
  }
  if (withBars) for (const bar of run.bars) process.stdout.write(`${JSON.stringify(bar)}\n`)
}

/** The same bench with only some of its arms. */
function onlyCases(bench: Bench, prefix: string): Bench {
  return {
    ...bench,
    describe: b =>
      bench.describe({
        ...b,
        arm: arm => {
          if (arm.case.startsWith(prefix)) b.arm(arm)
        },
        bar: bar => {
          if ([bar.case, bar.against ?? bar.case].every(name => name.startsWith(prefix))) b.bar(bar)
        },
      }),
  }
}

/**
 * Several benches run one after the other, each in a process of its own: what one leaves behind (a library's
 * timers, a grown heap, a deoptimised function) is not the next one's to pay for.
 */
async function runApart(names: readonly string[], options: readonly string[]): Promise<void> {
  for (const name of names) {
    const args = [...process.execArgv, fileURLToPath(import.meta.url), name, '--bare', ...options]
    const child = spawn(process.execPath, args, { stdio: 'inherit' })
    const [code] = (await once(child, 'exit')) as [number | null]
    if (code !== 0) process.exitCode = 1
  }
}

async function runHere(
  bench: Bench,
  { rounds, json, check }: { rounds: number; json: boolean; check: boolean },
): Promise<void> {
  const progress = process.stderr.isTTY
    ? (text: string) => process.stderr.write(`\r\x1b[K${text}`)
    : undefined
  const run = await runBench(bench, { rounds, ...(progress === undefined ? {} : { progress }) })
  progress?.('')
  if (json) printLines(run, check)
  else printTable(run)
  if (check && run.bars.some(bar => !bar.met)) process.exitCode = 1
}

await runMain(async () => {
  const { values, positionals } = readCommandLine({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      case: { type: 'string' },
      bare: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return void process.stdout.write(USAGE)
  const rounds = integerOption('rounds', values.rounds, DEFAULT_ROUNDS, 1)
  const asked = positionals.map(name => checkName('bench', name, BENCHES))
  const names = asked.length > 0 ? asked : BENCHES
  const benches: Bench[] = []
  for (const name of names) {
    const { default: bench } = (await import(`./${name}.js`)) as { default: Bench }
    benches.push(values.case === undefined ? bench : onlyCases(bench, values.case))
  }

  if (!values.bare) {
    const machine = await describeMachine(benches)
    process.stdout.write(
      values.json ? `${JSON.stringify(machine)}\n` : `${JSON.stringify(machine, null, 2)}\n\n`,
    )
  }
  const [only, ...others] = benches
  if (only !== undefined && others.length === 0) return runHere(only, { ...values, rounds })
  const options = [`--rounds=${rounds}`]
  if (values.json) options.push('--json')
  if (values.check) options.push('--check')
  if (values.case !== undefined) options.push(`--case=${values.case}`)
  await runApart(names, options)
})

// everything is printed and closed, but a library under comparison may leave threads behind
process.exit()
