// What the tests ran of the source, counted over every process and thread that they started.
//
// V8 writes one file a thread (NODE_V8_COVERAGE). The same module may have run in several transpiled forms
// (the test runner's, the thread loader's, the built one), whose offsets have nothing in common: each form is
// mapped back to TypeScript by itself, then the counts are added. A source file that nothing loaded counts as
// wholly uncovered; V8 would not mention it.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Report } from 'c8'
import ts from 'typescript'

/** The folders whose code must be tested. */
const SOURCES = ['src', 'actors']

/** Where the build puts what it makes of them. */
const BUILT = 'dist'

const KINDS = ['statements', 'branches', 'functions', 'lines'] as const

/** Percent covered, of each kind. */
export type Coverage = Record<(typeof KINDS)[number], number>

interface ScriptCoverage {
  readonly scriptId: string
  readonly url: string
  readonly functions: readonly unknown[]
}

interface TranspiledForm {
  readonly lineLengths: readonly number[]
  readonly data: unknown
}

/** One file that V8 wrote. */
interface ThreadCoverage {
  readonly result: readonly ScriptCoverage[]
  readonly 'source-map-cache'?: Readonly<Record<string, TranspiledForm>>
}

/** The part of an istanbul coverage map that is used here. */
interface CoverageMap {
  merge(other: CoverageMap): void
  getCoverageSummary(): Record<(typeof KINDS)[number], { readonly pct: number | 'Unknown' }>
}

/** c8 types less than it documents. */
interface MappingReport {
  getCoverageMapFromAllCoverageFiles(): Promise<CoverageMap>
  run(): Promise<void>
}

/** What was found out about the tests of one run. */
export interface CoverageReport {
  /** Undefined if nothing of the source ran. */
  readonly coverage: Coverage | undefined
  /** Source files that nothing loaded; empty unless all tests ran. */
  readonly unloaded: string[]
  /** Writes the table of uncovered lines to stdout. */
  readonly printTable: () => Promise<void>
}

/**
 * @param root the repository
 * @param raw the folder that V8 wrote to
 * @param whole did every test run? Only then does a file that nothing loaded count.
 */
export async function measureCoverage(root: string, raw: string, whole: boolean): Promise<CoverageReport> {
  const { folders, loaded } = await sortByForm(root, raw)
  const unloaded = whole ? await unloadedFiles(root, loaded) : []
  if (unloaded.length > 0) folders.push(await writeUncovered(root, raw, unloaded))
  const [first, ...others] = folders.map(folder => mappingReport(root, folder))
  if (first === undefined) return { coverage: undefined, unloaded, printTable: async () => {} }
  const total = await first.getCoverageMapFromAllCoverageFiles()
  for (const other of others) total.merge(await other.getCoverageMapFromAllCoverageFiles())
  const summary = total.getCoverageSummary()
  const coverage = Object.fromEntries(KINDS.map(kind => [kind, Number(summary[kind].pct)])) as Coverage
  // the first report keeps the map that the others were merged into
  return { coverage, unloaded, printTable: () => first.run() }
}

function mappingReport(root: string, tempDirectory: string): MappingReport {
  const report = new Report({
    tempDirectory,
    reporter: ['text'],
    resolve: root,
    exclude: [],
    skipFull: true,
    excludeNodeModules: true,
  })
  return report as unknown as MappingReport
}

/** Keeps what concerns the source, in one folder for each transpiled form of a module. */
async function sortByForm(root: string, raw: string): Promise<{ folders: string[]; loaded: Set<string> }> {
  const forms = new Map<string, string[]>()
  const folders: string[] = []
  const loaded = new Set<string>()
  const names = await readdir(raw).catch((): string[] => [])
  for (const name of names.filter(file => file.endsWith('.json'))) {
    const thread = JSON.parse(await readFile(join(raw, name), 'utf8')) as ThreadCoverage
    const sorted = new Map<number, { result: ScriptCoverage[]; maps: Record<string, TranspiledForm> }>()
    for (const script of thread.result) {
      const source = sourceOf(root, script.url)
      if (source === undefined) continue
      loaded.add(source)
      const form = thread['source-map-cache']?.[script.url]
      const known = forms.get(source) ?? []
      forms.set(source, known)
      const key =
        form === undefined ? 'as it is' : `${script.url.includes(`/${BUILT}/`)}:${form.lineLengths.join()}`
      if (!known.includes(key)) known.push(key)
      const index = known.indexOf(key)
      const part = sorted.get(index) ?? { result: [], maps: {} }
      sorted.set(index, part)
      const url = script.url.replace(/[?#].*$/, '')
      part.result.push({ ...script, url })
      if (form !== undefined) part.maps[url] = form
    }
    for (const [index, { result, maps }] of sorted) {
      folders[index] ??= join(raw, `form-${index}`)
      await mkdir(folders[index], { recursive: true })
      await writeFile(join(folders[index], name), JSON.stringify({ result, 'source-map-cache': maps }))
    }
  }
  return { folders, loaded }
}

/** `file:///…/dist/src/errors.js` and `file:///…/src/errors.ts?x` → `src/errors.ts`; anything else → undefined. */
function sourceOf(root: string, url: string): string | undefined {
  if (!url.startsWith('file:')) return undefined
  const path = relative(root, fileURLToPath(url)).split(sep).join('/')
  const source = path.startsWith(`${BUILT}/`) ? path.slice(BUILT.length + 1).replace(/\.js$/, '.ts') : path
  return source.endsWith('.ts') && SOURCES.includes(source.split('/')[0] ?? '') ? source : undefined
}

async function unloadedFiles(root: string, loaded: ReadonlySet<string>): Promise<string[]> {
  const unloaded: string[] = []
  for (const folder of SOURCES) {
    const names = await readdir(join(root, folder), { recursive: true }).catch((): string[] => [])
    for (const name of names.filter(file => file.endsWith('.ts') && !file.endsWith('.d.ts'))) {
      const file = join(folder, name).split(sep).join('/')
      if (!loaded.has(file) && hasCode(await readFile(join(root, file), 'utf8'))) unloaded.push(file)
    }
  }
  return unloaded.sort()
}

/** Types alone leave nothing to run, nor to cover. */
function hasCode(source: string): boolean {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, removeComments: true },
  })
  return !/^\s*(?:export\s*\{\s*\};?\s*)?$/.test(outputText)
}

/** Says of each file, as V8 would, that nothing of it ran. */
async function writeUncovered(root: string, raw: string, files: readonly string[]): Promise<string> {
  const result = await Promise.all(
    files.map(async (file, index) => {
      const endOffset = (await readFile(join(root, file), 'utf8')).length
      const ranges = [{ startOffset: 0, endOffset, count: 0 }]
      const functions = [{ functionName: '(never loaded)', isBlockCoverage: true, ranges }]
      return { scriptId: String(index), url: pathToFileURL(join(root, file)).href, functions }
    }),
  )
  const folder = join(raw, 'unloaded')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'unloaded.json'), JSON.stringify({ result }))
  return folder
}
