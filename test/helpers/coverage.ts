// What the tests ran of the source, counted over every process and thread that they started.
//
// V8 writes one file a thread (NODE_V8_COVERAGE). The same module may have run in several transpiled forms
// (the test runner's, the thread loader's, the built one), whose offsets have nothing in common: each form is
// mapped back to TypeScript by itself, then the counts are added. A source file that nothing loaded counts as
// wholly uncovered; V8 would not mention it.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Report } from 'c8'
import ts from 'typescript'

/** The folders whose code must be tested. */
const SOURCES = ['src', 'actors']

/** Not TypeScript, though it looks like it: runs compiled to WebAssembly. */
const ASSEMBLY = /\/assembly\//

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

/** Gathers what V8 writes, while the tests run: a thread that loads TensorFlow.js leaves 10 MB. */
export class CoverageCollector {
  readonly #root: string
  readonly #raw: string
  readonly #loaded = new Set<string>()
  /** Source file → the transpiled forms seen of it; the k-th goes to the k-th folder. */
  readonly #forms = new Map<string, string[]>()
  readonly #folders: string[] = []
  #swept: Promise<void> = Promise.resolve()

  /**
   * @param root the repository
   * @param raw the folder that V8 writes to
   */
  constructor(root: string, raw: string) {
    this.#root = root
    this.#raw = raw
  }

  /** Takes in the files that are whole by now, and removes them. */
  sweep(): Promise<void> {
    this.#swept = this.#swept.then(async () => {
      const names = await readdir(this.#raw).catch((): string[] => [])
      for (const name of names.filter(file => file.endsWith('.json'))) {
        const path = join(this.#raw, name)
        const thread = parsed(await readFile(path, 'utf8'))
        if (thread === undefined) continue
        await this.#sort(name, thread)
        await rm(path)
      }
    })
    return this.#swept
  }

  /** @param whole did every test run? Only then does a file that nothing loaded count. */
  async report(whole: boolean): Promise<CoverageReport> {
    await this.sweep()
    const unloaded = whole ? await unloadedFiles(this.#root, this.#loaded) : []
    if (unloaded.length > 0) this.#folders.push(await writeUncovered(this.#root, this.#raw, unloaded))
    const [first, ...others] = this.#folders.map(folder => mappingReport(this.#root, folder))
    if (first === undefined) return { coverage: undefined, unloaded, printTable: async () => {} }
    const total = await first.getCoverageMapFromAllCoverageFiles()
    for (const other of others) total.merge(await other.getCoverageMapFromAllCoverageFiles())
    const summary = total.getCoverageSummary()
    const coverage = Object.fromEntries(KINDS.map(kind => [kind, Number(summary[kind].pct)])) as Coverage
    // the first report keeps the map that the others were merged into
    return { coverage, unloaded, printTable: () => first.run() }
  }

  /** Keeps what concerns the source, in one folder for each transpiled form of a module. */
  async #sort(name: string, thread: ThreadCoverage): Promise<void> {
    const parts = new Map<
      number,
      { result: ScriptCoverage[]; 'source-map-cache': Record<string, TranspiledForm> }
    >()
    for (const script of thread.result) {
      const source = sourceOf(this.#root, script.url)
      if (source === undefined) continue
      this.#loaded.add(source)
      const form = thread['source-map-cache']?.[script.url]
      const { index, isNew } = this.#formOf(source, script.url, form)
      const part = parts.get(index) ?? { result: [], 'source-map-cache': {} }
      parts.set(index, part)
      const url = script.url.replace(/[?#].*$/, '')
      part.result.push({ ...script, url })
      if (form !== undefined && isNew) part['source-map-cache'][url] = form
    }
    for (const [index, part] of parts) {
      const folder = (this.#folders[index] ??= join(this.#raw, `form-${index}`))
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, name), JSON.stringify(part))
    }
  }

  #formOf(source: string, url: string, form: TranspiledForm | undefined): { index: number; isNew: boolean } {
    const known = this.#forms.get(source) ?? []
    this.#forms.set(source, known)
    const built = url.includes(`/${BUILT}/`) ? BUILT : ''
    const key = form === undefined ? 'as it is' : `${built}:${form.lineLengths.join()}`
    const index = known.indexOf(key)
    return index < 0 ? { index: known.push(key) - 1, isNew: true } : { index, isNew: false }
  }
}

/** Undefined while the thread still writes. */
function parsed(text: string): ThreadCoverage | undefined {
  try {
    return JSON.parse(text) as ThreadCoverage
  } catch {
    return undefined
  }
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
      if (!loaded.has(file) && !ASSEMBLY.test(file) && hasCode(await readFile(join(root, file), 'utf8')))
        unloaded.push(file)
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
