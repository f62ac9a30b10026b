import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { defineBench, runBench } from './bench/harness.js'
import { CoverageCollector } from './helpers/coverage.js'
import { checkName, integerOption, readCommandLine, UsageError } from './helpers/options.js'
import { tapSummary, type TestCounts } from './helpers/tap-summary.js'

const ROOT = resolve(import.meta.dirname, '..')
const LINT_FIXTURES = join(ROOT, 'test/fixtures/lint')

async function filesUnder(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch((): string[] => [])
  const files = names.filter(name => /\.\w+$/.test(name))
  return files.map(name => join(folder, name).split(sep).join('/')).sort()
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(ROOT, path), 'utf8')) as Record<string, unknown>
}

/** Lints a copy of `folder` as if it were the repository; findings as `file:line rule`. */
async function lint(folder: string): Promise<string[]> {
  const copy = await mkdtemp(join(tmpdir(), 'troupe-lint-'))
  try {
    await cp(folder, copy, { recursive: true })
    for (const name of ['.oxlint', '.oxlintrc.json', 'tsconfig.json']) {
      await cp(join(ROOT, name), join(copy, name), { recursive: true })
    }
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
    const oxlint = join(ROOT, 'node_modules/oxlint/bin/oxlint')
    const output = await new Promise<string>((done, failed) => {
      const options = { cwd: copy, maxBuffer: 1 << 24 }
      // tap hands its loaders to every child; oxlint does not start with them
      const command = ['-u', 'NODE_OPTIONS', process.execPath, oxlint, '--format=json']
      execFile('env', command, options, (error, stdout, stderr) => {
        if (stdout === '') failed(new Error(`oxlint said nothing but ${stderr}`, { cause: error }))
        else done(stdout)
      })
    })
    const { diagnostics } = JSON.parse(output) as { diagnostics: Finding[] }
    return diagnostics.map(nameOf).sort()
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

interface Finding {
  readonly code?: string
  readonly message: string
  readonly filename: string
  readonly labels: readonly { readonly span: { readonly line: number } }[]
}

function nameOf(finding: Finding): string {
  const unused = finding.message.startsWith('Unused oxlint-disable')
  return `${finding.filename}:${finding.labels[0]?.span.line ?? 0} ${unused ? 'unused-disable' : (finding.code ?? '')}`
}

/** What the fixtures say of themselves: `//! rule, rule` at the end of a line. */
async function expectedFindings(folder: string): Promise<string[]> {
  const expected: string[] = []
  for (const file of await filesUnder(folder)) {
    const lines = (await readFile(file, 'utf8')).split('\n')
    for (const [index, line] of lines.entries()) {
      const rules = line.split('//!')[1]?.split(',') ?? []
      for (const rule of rules) expected.push(`${file.slice(folder.length + 1)}:${index + 1} ${rule.trim()}`)
    }
  }
  return expected.sort()
}

t.test('Lint: every house rule fires where it should, and nowhere else', async t => {
  t.same(await lint(LINT_FIXTURES), await expectedFindings(LINT_FIXTURES))
})

t.test('Lint: every folder of src has a row in the table of layers', async t => {
  const { LAYERS } = (await import(join(ROOT, '.oxlint/layers.mjs'))) as { LAYERS: Record<string, unknown> }
  const entries = await readdir(join(ROOT, 'src'))
  t.same(
    entries.map(name => name.replace(/\.ts$/, '')).filter(name => !Object.hasOwn(LAYERS, name)),
    [],
  )
})

t.test('Files: kebab-case, one concept each, no grab-bags; half of them short', async t => {
  const files = [...(await filesUnder(join(ROOT, 'src'))), ...(await filesUnder(join(ROOT, 'actors')))]
  const sources = files.filter(file => file.endsWith('.ts'))
  const names = sources.map(file => file.slice(ROOT.length + 1))
  const kebab = /^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)+[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/
  t.same(
    names.filter(name => !kebab.test(name)),
    [],
    'in kebab-case',
  )
  t.same(
    names.filter(name => /\b(?:utils?|helpers?|common|misc|types)\.ts$/.test(name)),
    [],
    'named for what they hold',
  )
  const lengths = await Promise.all(
    sources.map(async file => (await readFile(file, 'utf8')).split('\n').length - 1),
  )
  const median = lengths.sort((a, b) => a - b)[lengths.length >> 1] ?? 0
  t.ok(median <= 150, `the median file has ${median} lines`)
})

t.test('Packages: exact versions, no install scripts, a lockfile for every platform', async t => {
  const manifest = await readJson('package.json')
  const pinned = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'].flatMap(kind =>
    Object.entries(manifest[kind] as Record<string, string>),
  )
  t.same(
    pinned.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)),
    [],
    'exact versions',
  )
  t.match(await readFile(join(ROOT, '.npmrc'), 'utf8'), /^ignore-scripts=true$/m)

  const { packages } = (await readJson('package-lock.json')) as { packages: Record<string, LockedPackage> }
  const entries = Object.entries(packages)
  t.same(
    entries.filter(([, locked]) => locked.resolved !== undefined).map(([path]) => path),
    [],
    'no address of a registry',
  )
  const missing = entries.flatMap(([path, locked]) =>
    Object.keys(locked.optionalDependencies ?? {}).filter(name => !findLocked(packages, path, name)),
  )
  t.same(missing, [], 'npm ci refuses a lockfile that lacks the packages of another platform')
})

interface LockedPackage {
  readonly resolved?: string
  readonly optionalDependencies?: Record<string, string>
}

/** As Node finds it: beside the package, then in each node_modules above. */
function findLocked(packages: Record<string, LockedPackage>, from: string, name: string): boolean {
  for (let at = from; ; at = dirname(at)) {
    if (Object.hasOwn(packages, join(at, 'node_modules', name))) return true
    if (at === '.' || at === '') return false
  }
}

t.test('Top level: what a newcomer expects, and nothing else', async t => {
  const expected = new Set([
    'ARCHITECTURE.md',
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'actors',
    'dist',
    'examples',
    'nats.conf',
    'node_modules',
    'package-lock.json',
    'package.json',
    'src',
    'test',
    'tsconfig.json',
  ])
  const visible = (await readdir(ROOT)).filter(name => !name.startsWith('.'))
  t.same(
    visible.filter(name => !expected.has(name)),
    [],
  )
})

async function count(lines: readonly string[]): Promise<TestCounts & { text: string }> {
  let text = ''
  const { stream, counts, done } = tapSummary(more => {
    text += more
  })
  stream.end(lines.map(line => `${line}\n`).join(''))
  await done
  return { ...counts, text }
}

t.test('Counts: assertions one by one, what sums them up not again', async t => {
  const nested = [
    'TAP version 14',
    '# Subtest: file',
    '    # Subtest: a test',
    '        ok 1 - first',
    '        not ok 2 - second',
    '        ok 3 - third # SKIP not here',
    '        1..3',
    '    not ok 1 - a test',
    '    not ok 2 - later # TODO some day',
    '    1..2',
    'not ok 1 - file',
    '1..1',
  ]
  const { text, ...counts } = await count(nested)
  t.same(counts, { passed: 1, failed: 1, skipped: 2 })
  t.match(text, 'FAILED: file > a test > second')
})

t.test('Counts: a stream that is cut short, bails out or breaks its plan has failed', async t => {
  t.match(await count(['TAP version 14', 'ok 1 - first', '1..2']), { passed: 1, failed: 1 })
  t.match(await count(['TAP version 14', 'ok 1 - first', 'Bail out! no more']), { passed: 1, failed: 1 })
  t.match(await count([]), { passed: 0, failed: 1 })
  t.match(await count(['TAP version 14', 'ok 1 - first', '1..1']), { passed: 1, failed: 0 })
})

t.test('Coverage: once all tests ran, a file that none loaded counts; types never do', async t => {
  const lines = 'export const a = 1\n'.repeat(10)
  const types = 'export interface Port {\n  send(): void\n}\n'
  const measure = async (whole: boolean): Promise<{ lines: number | undefined; said: string[] }> => {
    const root = t.testdir({ src: { 'ran.ts': lines, 'never.ts': lines, 'port.ts': types }, raw: {} })
    const url = pathToFileURL(join(root, 'src/ran.ts')).href
    const ranges = [{ startOffset: 0, endOffset: lines.length, count: 1 }]
    const functions = [{ functionName: '', isBlockCoverage: true, ranges }]
    const result = [{ scriptId: '1', url, functions }]
    await writeFile(join(root, 'raw/one.json'), JSON.stringify({ result }))
    const report = await new CoverageCollector(root, join(root, 'raw')).report(whole)
    return { lines: report.coverage?.lines, said: report.unloaded }
  }
  t.same(await measure(false), { lines: 100, said: [] })
  t.same(await measure(true), { lines: 50, said: ['src/never.ts'] })
})

t.test('Bench: arms run interleaved; figures are medians of what follows the warm-up', async t => {
  const order: string[] = []
  const values = [99, 3, 1, 2]
  const bench = defineBench('sample', b => {
    b.arm({
      case: 'quick',
      unit: 'us',
      better: 'lower',
      run: () => order.push('quick') && (values.shift() ?? 0),
    })
    b.arm({ case: 'slow', unit: 'us', better: 'lower', run: async () => order.push('slow') && 8 })
    b.bar({ case: 'quick', against: 'slow', atMost: 0.25 })
    b.bar({ case: 'slow', atMost: 7 })
    b.after(() => void order.push('closed'))
  })
  const { figures, bars } = await runBench(bench, { rounds: 3 })
  t.same(order, ['quick', 'slow', 'quick', 'slow', 'quick', 'slow', 'quick', 'slow', 'closed'])
  t.match(figures[0], { bench: 'sample', case: 'quick', value: 2, unit: 'us', samples: 3, min: 1, max: 3 })
  t.same(bars, [
    { bench: 'sample', bar: 'quick <= 0.25 x slow', value: 0.25, met: true },
    { bench: 'sample', bar: 'slow <= 7 us', value: 8, met: false },
  ])
  const wrong = defineBench('wrong', b => b.bar({ case: 'nowhere', atLeast: 1 }))
  await t.rejects(runBench(wrong, { rounds: 1 }), { message: /bar on nowhere/ })
})

t.test('Command lines: a wrong one is answered with the value got and what is accepted', async t => {
  const options = { rounds: { type: 'string' } } as const
  t.throws(() => readCommandLine({ args: ['--round'], options }), new UsageError("Unknown option '--round'"))
  t.throws(() => readCommandLine({ args: ['--round'], options }), { message: /accepted: --rounds/ })
  t.equal(integerOption('rounds', undefined, 5, 1), 5)
  t.equal(integerOption('rounds', '7', 5, 1), 7)
  t.throws(() => integerOption('rounds', '0', 5, 1), {
    message: '--rounds must be an integer of at least 1, got "0"',
  })
  t.throws(() => integerOption('rounds', '1.5', 5, 1), { message: /got "1.5"/ })
  t.equal(checkName('bench', 'wire', ['actor', 'wire']), 'wire')
  t.throws(() => checkName('bench', 'x', ['actor', 'wire']), {
    message: 'no bench is named "x"; there are actor, wire',
  })
})
