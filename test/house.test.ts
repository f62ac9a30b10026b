import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import t from 'tap'

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

t.test(
  'Packages: exact versions, no install scripts, a lockfile for every platform and of no registry',
  async t => {
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
  },
)

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
