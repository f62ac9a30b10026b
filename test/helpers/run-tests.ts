// `npm test`: runs tap, every argument passed on; then says what the tests covered, and how many assertions
// passed, failed and were skipped. When all tests ran, coverage below the floor fails as well.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { finished } from 'node:stream/promises'
import { CoverageCollector, type Coverage } from './coverage.js'
import { tapSummary, type TestCounts } from './tap-summary.js'

/** From dist/test/helpers. */
const ROOT = resolve(import.meta.dirname, '../../..')
const TAP = join(ROOT, 'node_modules/tap/dist/esm/run.mjs')

/** Where tap notes the processes it started. */
const PROCESSES = join(ROOT, '.tap/processinfo')

/** Where V8 writes, one file a thread. */
const RAW_COVERAGE = join(ROOT, '.tap/v8')

/** Percent: raise it as the tests grow, never lower it. */
const FLOOR: Coverage = { statements: 95, branches: 92, functions: 94, lines: 95 }

const print = (text: string): void => void process.stdout.write(text)

async function runTap(args: readonly string[], collector: CoverageCollector): Promise<TestCounts> {
  await rm(RAW_COVERAGE, { recursive: true, force: true })
  await rm(PROCESSES, { recursive: true, force: true })
  const child = spawn(process.execPath, [TAP, '--reporter=tap', ...args], {
    cwd: ROOT,
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { ...process.env, NODE_V8_COVERAGE: RAW_COVERAGE },
  })
  const { stream, counts, done } = tapSummary(print)
  stream.on('assert', () => void collector.sweep())
  child.stdout.on('data', (chunk: Buffer) => stream.write(chunk))
  const [[code]] = (await Promise.all([once(child, 'exit'), finished(child.stdout)])) as [
    [number | null],
    void,
  ]
  stream.end()
  await done
  if (code !== 0 && counts.failed === 0) {
    counts.failed++
    print(`tap ended with ${code === null ? 'a signal' : `code ${code}`} and named no failure\n`)
  }
  return counts
}

/** Did this run take in every test file? A part of them loads a part of the source, and rightly so. */
async function allTestsRan(): Promise<boolean> {
  const ran = new Set<string | undefined>()
  for (const name of await readdir(PROCESSES).catch((): string[] => [])) {
    if (!name.endsWith('.json')) continue
    const noted = JSON.parse(await readFile(join(PROCESSES, name), 'utf8')) as { externalID?: string }
    ran.add(noted.externalID)
  }
  const names = await readdir(join(ROOT, 'test'), { recursive: true })
  const tests = names.filter(name => name.endsWith('.test.ts'))
  return tests.every(name => ran.has(join('test', name).split(sep).join('/')))
}

/** How many kinds of coverage are below the floor. */
async function checkCoverage(collector: CoverageCollector): Promise<number> {
  const whole = await allTestsRan()
  const { coverage, unloaded, printTable } = await collector.report(whole)
  await rm(RAW_COVERAGE, { recursive: true, force: true })
  for (const file of unloaded) print(`# no test loads ${file}\n`)
  await printTable()
  if (!whole || coverage === undefined) return 0
  const below = (Object.keys(FLOOR) as (keyof Coverage)[]).filter(kind => coverage[kind] < FLOOR[kind])
  for (const kind of below)
    print(`coverage of ${kind} is ${coverage[kind]} %, the floor is ${FLOOR[kind]} %\n`)
  return below.length
}

const collector = new CoverageCollector(ROOT, RAW_COVERAGE)
const counts = await runTap(process.argv.slice(2), collector)
counts.failed += await checkCoverage(collector)
print(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
process.exitCode = counts.failed === 0 ? 0 : 1
