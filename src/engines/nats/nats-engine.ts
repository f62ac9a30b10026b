import { chmod, copyFile, mkdir, open, readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import process from 'node:process'
import type { Clock } from '../../determinism/index.js'
import { TroupeError } from '../../errors.js'
import { brokenUnless, check } from '../check.js'
import type { EngineCache } from '../engine-cache.js'
import type { Check, Engine, EngineSource, ExamineOptions, FoundEngine, InstallOptions } from '../engine.js'
import { findProgram, isProgram, requireProgram, runProgram } from '../program.js'
import { trySources, type Attempt } from '../try-sources.js'
import { fetchDebianPackage, whyNoDebianPackage } from './debian-package.js'
import { installByGo } from './go-install.js'
import { NatsServer } from './nats-server.js'
import { checkNatsVersion, isTooOld, NATS_VERSION, natsVersion } from './nats-version.js'
import { fetchRelease, releases, whyNoRelease } from './release.js'
import { natsRoundTrip } from './round-trip.js'

const PROGRAM = 'nats-server'
const PROGRAM_VARIABLE = 'NATS_SERVER_BIN'

const PROGRAM_BYTES = 20e6
const RELEASE_BYTES = 8e6
/** Sources of the server and what it builds on. */
const GO_BYTES = 25e6
/** The package, and the lists of packages that apt reads before. */
const DEBIAN_BYTES = 17e6

/** nats-server: found by `NATS_SERVER_BIN`, on `PATH`, or in the cache. */
export class NatsEngine implements Engine {
  readonly name = 'nats'
  readonly title = 'nats-server'
  readonly version = NATS_VERSION
  readonly #cache: EngineCache
  readonly #clock: Clock

  constructor(cache: EngineCache, clock: Clock) {
    this.#cache = cache
    this.#clock = clock
  }

  async sources(): Promise<readonly EngineSource[]> {
    return (await this.#attempts({ report: () => undefined })).map(({ source }) => source)
  }

  async #attempts(following: Pick<InstallOptions, 'report' | 'signal'>): Promise<Attempt[]> {
    const noGo = (await findProgram('go')) === undefined ? 'no go on PATH' : undefined
    const source = (name: string, downloadBytes: number, why: string | undefined): EngineSource => ({
      name,
      downloadBytes,
      diskBytes: PROGRAM_BYTES,
      ...(why === undefined ? {} : { unusable: why }),
    })
    return [
      {
        source: source(`release ${NATS_VERSION} at ${releases()}`, RELEASE_BYTES, whyNoRelease()),
        fetch: into => fetchRelease(into, following),
      },
      {
        source: source(`Go module ${NATS_VERSION}, built here`, GO_BYTES, noGo),
        fetch: into => installByGo(into, following.signal),
      },
      {
        source: source('Debian package', DEBIAN_BYTES, await whyNoDebianPackage()),
        fetch: async into => {
          await fetchDebianPackage(into, following.signal)
          await checkNatsVersion(join(into, PROGRAM))
        },
      },
    ]
  }

  /**
   * What is too old on `PATH` is passed over.
   *
   * @throws ERR_ENGINE_VERSION, ERR_ENGINE_MISSING if what `NATS_SERVER_BIN` names is too old or no program
   */
  async find(): Promise<FoundEngine | undefined> {
    const named = process.env[PROGRAM_VARIABLE]
    if (named !== undefined && named !== '') {
      if (!(await isProgram(named)))
        throw new TroupeError('ERR_ENGINE_MISSING', `${PROGRAM_VARIABLE} names ${named}, which is no program`)
      return { version: await checkNatsVersion(named), path: named, by: PROGRAM_VARIABLE }
    }
    const onPath = await findProgram(PROGRAM)
    if (onPath !== undefined) {
      const version = await natsVersion(onPath)
      if (!isTooOld(version)) return { version, path: onPath, by: 'PATH' }
    }
    const cached = await this.#cache.find(this)
    if (cached === undefined) return undefined
    const path = join(cached.dir, PROGRAM)
    return { version: await checkNatsVersion(path), path, by: 'cache' }
  }

  async install(into: string, { from, report, signal }: InstallOptions): Promise<string> {
    const following = { report, ...(signal === undefined ? {} : { signal }) }
    let source = from
    if (from === undefined) {
      source = await trySources(this.title, into, await this.#attempts(following), following)
    } else await takeBrought(from, into, signal)
    await chmod(join(into, PROGRAM), 0o755)
    await checkNatsVersion(join(into, PROGRAM))
    return source ?? ''
  }

  async verify(dir: string): Promise<void> {
    await brokenUnless(this.title, () => this.#trial(join(dir, PROGRAM)))
  }

  async #trial(program: string): Promise<string> {
    const server = await NatsServer.start(program, { clock: this.#clock })
    await using _stopped = server
    return await natsRoundTrip(server.url)
  }

  async examine({ url }: ExamineOptions): Promise<readonly Check[]> {
    let found: FoundEngine | undefined
    const installed = await check(
      'installed',
      async () => {
        found = await this.find()
        if (found !== undefined) return `${found.version}, ${found.path} (${found.by})`
        const old = await findProgram(PROGRAM)
        const aside = old === undefined ? '' : `; ${old} is ${await natsVersion(old)}, which is too old`
        throw new TroupeError('ERR_ENGINE_MISSING', `no nats-server is found${aside}`)
      },
      'troupe provision nats',
    )
    const checks = [installed]
    const program = found?.path
    if (program !== undefined) checks.push(await check('starts', () => this.#trial(program)))
    if (url !== undefined) checks.push(await check('round trip', () => natsRoundTrip(url)))
    return checks
  }
}

/** The program itself, or an archive with it: tar, or what else this machine's `tar` reads. */
async function takeBrought(from: string, into: string, signal: AbortSignal | undefined): Promise<void> {
  if (await isExecutable(from)) {
    await copyFile(from, join(into, PROGRAM))
    return
  }
  const unpacked = join(into, 'unpacked')
  await mkdir(unpacked)
  const options = signal === undefined ? {} : { signal }
  await runProgram(await requireProgram('tar'), ['-xf', from, '-C', unpacked], options)
  const names = await readdir(unpacked, { recursive: true })
  const program = names.find(name => basename(name) === PROGRAM)
  if (program === undefined)
    throw new TroupeError('ERR_ENGINE_INSTALL', `${from} holds no ${PROGRAM}`, { data: { from } })
  await copyFile(join(unpacked, program), join(into, PROGRAM))
  await rm(unpacked, { recursive: true })
}

/** By its first bytes: a file that was carried over has often lost its mode. */
async function isExecutable(path: string): Promise<boolean> {
  const file = await open(path).catch((cause: unknown) => {
    throw new TroupeError('ERR_ENGINE_INSTALL', `${path} cannot be read`, { data: { from: path }, cause })
  })
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0)
    // ELF, and the two byte orders of Mach-O
    return ['7f454c46', 'cffaedfe', 'cafebabe'].includes(buffer.toString('hex'))
  } finally {
    await file.close()
  }
}
