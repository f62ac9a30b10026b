import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { Clock } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import { cacheRoot } from './cache-root.js'
import { requireSpace, spaceError } from './disk-space.js'
import type { Engine, EngineName, InstallOptions } from './engine.js'
import { directoryBytes } from './directory-bytes.js'
import { withInstallLock } from './install-lock.js'
import { isRunning } from './running-process.js'

/** Written last, before the directory is moved to its place: a directory that has it is whole. */
const MANIFEST = 'engine.json'

export interface CachedEngine {
  readonly name: EngineName
  readonly version: string
  readonly dir: string
  /** What it takes on disk. */
  readonly bytes: number
  readonly source: string
}

export interface ProvisionOptions extends InstallOptions {
  /** Called once if another process installs the same engine now. */
  readonly waiting?: (pid: number) => void
}

/**
 * Installed engines, one directory a version and platform: `<root>/<engine>/<version>-<platform>-<arch>`. A directory is
 * there whole or not at all, whatever dies on the way and however many install at once.
 */
export class EngineCache {
  readonly #clock: Clock
  readonly root: string

  constructor(clock: Clock, root: string = cacheRoot()) {
    this.#clock = clock
    this.root = root
  }

  /** Where this engine is, or would be. */
  directory(engine: Pick<Engine, 'name' | 'version'>): string {
    return join(this.root, engine.name, `${engine.version}-${process.platform}-${process.arch}`)
  }

  /** The directory of this engine, if it is installed. */
  async find(engine: Pick<Engine, 'name' | 'version'>): Promise<CachedEngine | undefined> {
    return readManifest(this.directory(engine))
  }

  /** Every engine here, of any version. */
  async list(): Promise<CachedEngine[]> {
    const found: CachedEngine[] = []
    for (const name of await names(this.root)) {
      for (const version of await names(join(this.root, name))) {
        const cached = await readManifest(join(this.root, name, version))
        if (cached !== undefined) found.push(cached)
      }
    }
    return found
  }

  /**
   * Installs what is not there yet: checks the space, fills a directory beside the place, tries it, moves it.
   *
   * @throws what {@link Engine.install} and {@link Engine.verify} throw; then nothing is left behind
   */
  async provision(engine: Engine, options: ProvisionOptions): Promise<CachedEngine> {
    const there = await this.find(engine)
    if (there !== undefined) return there
    const { waiting, signal } = options
    const lock = join(this.root, 'locks', engine.name)
    return withInstallLock(
      lock,
      this.#clock,
      async () => (await this.find(engine)) ?? (await this.#install(engine, options)),
      { ...(waiting === undefined ? {} : { waiting }), ...(signal === undefined ? {} : { signal }) },
    )
  }

  async #install(engine: Engine, options: ProvisionOptions): Promise<CachedEngine> {
    await this.#sweep(engine.name)
    const usable = (await engine.sources()).filter(source => source.unusable === undefined)
    await requireSpace(this.root, Math.min(...usable.map(source => source.diskBytes)), engine.title)
    const stagings = join(this.root, 'staging')
    await mkdir(stagings, { recursive: true })
    const staging = await mkdtemp(join(stagings, `${engine.name}.${process.pid}.${hostname()}.`))
    try {
      const source = await engine.install(staging, options)
      options.signal?.throwIfAborted()
      options.report({ doing: 'trying it' })
      await engine.verify(staging, options.signal)
      const manifest = {
        name: engine.name,
        version: engine.version,
        source,
        bytes: await directoryBytes(staging),
        installed: new Date(this.#clock.now()).toISOString(),
      }
      await writeFile(join(staging, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`)
      return await this.#moveIn(staging, this.directory(engine))
    } catch (error) {
      throw spaceError(error, this.root, engine.title) ?? error
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  }

  /** The first of several wins; what is there without a manifest is no engine, and makes room. */
  async #moveIn(staging: string, dir: string): Promise<CachedEngine> {
    await mkdir(join(dir, '..'), { recursive: true })
    for (let tries = 0; ; tries++) {
      try {
        await rename(staging, dir)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (tries > 0 || !['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code ?? '')) throw error
        if ((await readManifest(dir)) === undefined) {
          await rm(dir, { recursive: true, force: true })
          continue
        }
      }
      const cached = await readManifest(dir)
      if (cached !== undefined) return cached
      throw new TroupeError('ERR_ENGINE_BROKEN', `${dir} vanished while it was installed`, { data: { dir } })
    }
  }

  /**
   * Removes every version of an engine; a process that runs it keeps what it has open.
   *
   * @returns how many versions there were
   */
  async remove(name: EngineName): Promise<number> {
    const versions = await names(join(this.root, name))
    for (const version of versions) {
      const dir = join(this.root, name, version)
      // first the manifest: half of an engine is none
      await rm(join(dir, MANIFEST), { force: true })
      await rm(dir, { recursive: true, force: true })
    }
    return versions.length
  }

  /** What installations left behind that were killed. */
  async #sweep(name: EngineName): Promise<void> {
    const stagings = join(this.root, 'staging')
    for (const left of await names(stagings)) {
      const [engine, pid, ...rest] = left.split('.')
      if (engine !== name || rest.slice(0, -1).join('.') !== hostname()) continue
      if (await isRunning(Number(pid))) continue
      await rm(join(stagings, left), { recursive: true, force: true })
    }
  }
}

async function names(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => [])
}

async function readManifest(dir: string): Promise<CachedEngine | undefined> {
  const path = join(dir, MANIFEST)
  if ((await stat(path).catch(() => undefined))?.isFile() !== true) return undefined
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Omit<CachedEngine, 'dir'>
  return {
    name: manifest.name,
    version: manifest.version,
    source: manifest.source,
    bytes: manifest.bytes,
    dir,
  }
}
