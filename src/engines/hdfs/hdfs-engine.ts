import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { TroupeError } from '../../errors.js'
import { brokenUnless, check } from '../check.js'
import { checkDigest } from '../digest.js'
import type { EngineCache } from '../engine-cache.js'
import type { Check, Engine, EngineSource, ExamineOptions, FoundEngine, InstallOptions } from '../engine.js'
import { packageFile } from '../package-files.js'
import { findProgram, runProgram } from '../program.js'
import { trySources, type Attempt } from '../try-sources.js'
import { takeBroughtJars } from './brought-jars.js'
import { archiveArguments, LAUNCHER_JAR } from './java-arguments.js'
import { checkJavaVersion, requireJava, whyNoJdk } from './java.js'
import { HADOOP_VERSION, JARS, JARS_BYTES, jarFile } from './jars.js'
import { fetchByHttp, fetchByMaven, mavenRepository } from './maven.js'
import { TrialHdfs } from './trial-hdfs.js'
import { hdfsRoundTrip } from './round-trip.js'

/** Jars, launcher, and the archive of some 55 MB that the launcher's classes make. */
const DISK_BYTES = JARS_BYTES + 56e6

/** Counted up when the launcher or what surrounds it changes: the cache then holds another version. */
const LAUNCHER_REVISION = 1

/** The launcher's sources are compiled for the oldest Java that Hadoop runs on. */
const RELEASE = '11'

/** A trial HDFS: Hadoop's own NameNode and DataNode, started by a small launcher of ours. */
export class HdfsEngine implements Engine {
  readonly name = 'hdfs'
  readonly title = `HDFS ${HADOOP_VERSION} for trials`
  readonly version = `${HADOOP_VERSION}-${LAUNCHER_REVISION}`
  readonly #cache: EngineCache

  constructor(cache: EngineCache) {
    this.#cache = cache
  }

  async sources(): Promise<readonly EngineSource[]> {
    return (await this.#attempts({ report: () => undefined })).map(({ source }) => source)
  }

  async #attempts({ report, signal }: Pick<InstallOptions, 'report' | 'signal'>): Promise<Attempt[]> {
    const noJdk = await unusable()
    const noMaven = (await findProgram('mvn')) === undefined ? 'no mvn on PATH' : undefined
    const source = (name: string, why: string | undefined): EngineSource => ({
      name,
      downloadBytes: JARS_BYTES,
      diskBytes: DISK_BYTES,
      ...(why === undefined ? {} : { unusable: why }),
    })
    const following = { report, ...(signal === undefined ? {} : { signal }) }
    return [
      {
        source: source('Maven, by mvn', noJdk ?? noMaven),
        fetch: into => fetchByMaven(join(into, 'lib'), signal),
      },
      {
        source: source(mavenRepository(), noJdk),
        fetch: into => fetchByHttp(join(into, 'lib'), mavenRepository(), following),
      },
    ]
  }

  async find(): Promise<FoundEngine | undefined> {
    const cached = await this.#cache.find(this)
    return cached === undefined ? undefined : { version: HADOOP_VERSION, path: cached.dir, by: 'cache' }
  }

  async install(into: string, { from, report, signal }: InstallOptions): Promise<string> {
    const why = await unusable()
    if (why !== undefined) {
      const code = process.platform === 'win32' ? 'ERR_ENGINE_PLATFORM' : 'ERR_ENGINE_MISSING'
      throw new TroupeError(code, `${this.title} cannot be installed: ${why}`)
    }
    await checkJavaVersion(await requireJava('java'))
    const lib = join(into, 'lib')
    let source = from
    if (from === undefined) {
      const following = { report, ...(signal === undefined ? {} : { signal }) }
      source = await trySources(this.title, into, await this.#attempts(following), following)
    } else await takeBroughtJars(from, lib, signal)
    await keepOnlyJars(lib)
    report({ doing: 'compiling the launcher' })
    await compileLauncher(into, signal)
    report({ doing: 'making the class archive' })
    await archiveClasses(into, signal)
    return source ?? ''
  }

  async verify(dir: string): Promise<void> {
    await brokenUnless(this.title, async () => {
      const hdfs = await TrialHdfs.start(dir)
      await using _stopped = hdfs
      await hdfsRoundTrip(hdfs.url)
    })
  }

  async examine({ url }: ExamineOptions): Promise<readonly Check[]> {
    const checks: Check[] = []
    const found = await this.find()
    const remedy = 'troupe provision hdfs'
    checks.push(
      found === undefined
        ? { name: 'installed', ok: false, detail: 'no trial HDFS is installed', remedy }
        : { name: 'installed', ok: true, detail: `${found.version} in ${found.path}` },
    )
    const noJdk = await whyNoJdk()
    if (noJdk !== undefined) checks.push({ name: 'Java', ok: false, detail: noJdk })
    else if (found !== undefined) {
      checks.push(
        await check('starts', async () => {
          const hdfs = await TrialHdfs.start(found.path)
          await using _stopped = hdfs
          return await hdfsRoundTrip(hdfs.url)
        }),
      )
    }
    if (url !== undefined) checks.push(await check('round trip', () => hdfsRoundTrip(url)))
    return checks
  }
}

/** Why this machine cannot have a trial HDFS; undefined if it can. */
async function unusable(): Promise<string | undefined> {
  if (process.platform === 'win32') return 'it runs on Linux and macOS, not on Windows'
  const noJdk = await whyNoJdk()
  if (noJdk !== undefined) return noJdk
  for (const name of ['bash', 'df']) {
    if ((await findProgram(name)) === undefined) return `no ${name} on PATH, which Hadoop calls`
  }
  return undefined
}

/** What came beside the jars goes; each jar must be the one that was tried. */
async function keepOnlyJars(lib: string): Promise<void> {
  const wanted = new Set(JARS.map(jarFile))
  for (const name of await readdir(lib)) if (!wanted.has(name)) await rm(join(lib, name), { recursive: true })
  for (const jar of JARS) await checkDigest(join(lib, jarFile(jar)), jar.sha256)
}

async function compileLauncher(into: string, signal: AbortSignal | undefined): Promise<void> {
  const options = { cwd: into, ...(signal === undefined ? {} : { signal }) }
  const sources = packageFile('src', 'engines', 'hdfs-launcher')
  // the published jars lack the web applications' directories, which the servers insist on
  for (const webapp of ['hdfs', 'datanode']) {
    await mkdir(join(into, 'classes', 'webapps', webapp), { recursive: true })
  }
  await cp(join(sources, 'log4j.properties'), join(into, 'classes', 'log4j.properties'))
  const source = join(sources, 'HdfsLauncher.java')
  const javac = await requireJava('javac')
  await runProgram(
    javac,
    ['--release', RELEASE, '-proc:none', '-cp', 'lib/*', '-d', 'classes', source],
    options,
  )
  await runProgram(await requireJava('jar'), ['cf', LAUNCHER_JAR, '-C', 'classes', '.'], options)
  await rm(join(into, 'classes'), { recursive: true })
}

async function archiveClasses(into: string, signal: AbortSignal | undefined): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'troupe-hdfs-'))
  try {
    const java = await requireJava('java')
    const options = { cwd: into, ...(signal === undefined ? {} : { signal }) }
    await runProgram(java, archiveArguments([data, 'namenode', 'datanode=0']), options)
  } finally {
    await rm(data, { recursive: true, force: true })
  }
}
