import { entropySeed, SeededRandom, SystemClock, type Clock, type Random } from '../determinism/index.js'
import { TroupeError } from '../errors.js'
import { GivenToken, UserName, type Credentials } from './credentials.js'
import { OwnToken } from './delegation.js'
import type { HttpExchange } from './exchange.js'
import { RequestFailure } from './failure.js'
import { field, parse, parseBoolean, parseStatus, type HdfsStatus } from './file-status.js'
import { readHadoopConfig } from './hadoop-config.js'
import { listFolder } from './listing.js'
import { parseHdfsLocation } from './location.js'
import { resolveNameService, type NameService } from './name-service.js'
import { NameNodes, type HdfsMeans, type Operation } from './name-nodes.js'
import { nodeExchange } from './node-exchange.js'
import { readHdfsSettings, type HdfsOptions, type HdfsSettings } from './options.js'
import { childPath, nameOf, parentOf } from './path.js'
import { readRange } from './reading.js'
import { redact } from './redaction.js'
import { Spnego } from './spnego.js'
import { HdfsWriter, type WriterOptions } from './writer.js'

/** What a test or a simulation gives instead of the machine's own. */
export interface WebHdfsParts {
  readonly clock?: Clock
  readonly random?: Random
  readonly exchange?: HttpExchange
}

export type HdfsRenameOutcome = 'done' | 'exists' | 'missing'

/** Inodes by their number, wherever they are by now. */
const INODES = '/.reserved/.inodes'

/** No second try, for what is done on the way out. */
const ONCE_MS = 0

/**
 * A client for HDFS over HTTP (WebHDFS). Paths are absolute and not encoded. Everything rejects with a TroupeError:
 * ERR_HDFS_MISSING, ERR_HDFS_EXISTS, ERR_HDFS_DENIED, ERR_HDFS_AUTHENTICATION, ERR_HDFS_FULL, ERR_HDFS_READ_ONLY,
 * ERR_HDFS_UNAVAILABLE after the time that `retryForMs` gives, ERR_HDFS_REFUSED for all else.
 *
 * @example
 * const hdfs = WebHdfs.open('webhdfs://namenode:9870/')
 * for (const { name, bytes } of (await hdfs.list('/jobs')) ?? []) console.log(name, bytes)
 */
export class WebHdfs {
  readonly service: NameService
  readonly #means: HdfsMeans
  readonly #nameNodes: NameNodes
  #dialect: Promise<'namenode' | 'httpfs'> | undefined
  #trashMinutes: Promise<number> | undefined

  constructor(service: NameService, settings: HdfsSettings, parts: WebHdfsParts = {}) {
    const clock = parts.clock ?? new SystemClock()
    this.service = service
    this.#means = {
      settings,
      clock,
      random: parts.random ?? new SeededRandom(entropySeed()),
      exchange: parts.exchange ?? nodeExchange(settings, clock),
    }
    this.#nameNodes = new NameNodes(service, this.#means, credentialsFor(service, this.#means))
  }

  /**
   * @param url `hdfs://`, `webhdfs://` or `swebhdfs://`; its path says nothing here
   * @throws ERR_HDFS_LOCATION, ERR_HDFS_CONFIG, ERR_INVALID_OPTION
   */
  static open(url: string, options: HdfsOptions = {}, parts: WebHdfsParts = {}): WebHdfs {
    const settings = readHdfsSettings(options)
    const { configDirectory } = settings
    const config =
      configDirectory === undefined ? new Map<string, string>() : readHadoopConfig(configDirectory)
    return new WebHdfs(resolveNameService(parseHdfsLocation(url), config), settings, parts)
  }

  /** The file system, for people: without a path, and without secrets. */
  get name(): string {
    return redact(this.service.name)
  }

  /** Undefined when nothing is there. */
  async status(path: string): Promise<HdfsStatus | undefined> {
    return this.#doing('looking at', path, () => this.#status(path))
  }

  /** All of a folder, sorted by name; undefined when it is not there or is a file. */
  async list(path: string): Promise<HdfsStatus[] | undefined> {
    return this.#doing('listing', path, () => listFolder(this.#nameNodes, path))
  }

  /** Makes the folder and those above it; not an error when it is there. */
  async makeDirectory(path: string): Promise<void> {
    await this.#doing('making the folder', path, async () => {
      await this.#nameNodes.call({ method: 'PUT', op: 'MKDIRS', path })
    })
  }

  /**
   * Begins a new file: see {@link HdfsWriter}. It has its name only once it is closed; errors of the writer are
   * `RequestFailure`s, which {@link writing} turns into those of this class.
   */
  async create(path: string, options: WriterOptions = {}): Promise<HdfsWriter> {
    return this.#doing('creating', path, async () => {
      const [there, folder] = await Promise.all([this.#status(path), this.#status(parentOf(path))])
      if (there !== undefined) throw refusal('ERR_HDFS_EXISTS', 'something is there already')
      if (folder?.directory !== true && options.createParents !== true) {
        throw refusal('ERR_HDFS_MISSING', 'the folder it should lie in is not there')
      }
      const port = {
        lengthOf: async (at: string) => (await this.#status(at))?.bytes,
        rename: (from: string, to: string) => this.#rename(from, to),
        discard: (at: string) => this.#discard(at),
        partOf: (at: string) => this.#partOf(at),
      }
      const writer = new HdfsWriter(path, options, port, this.#nameNodes, this.#means)
      await writer.open()
      return writer
    })
  }

  /** Writes a whole file, exclusively. */
  async writeFile(path: string, bytes: Uint8Array, options: WriterOptions = {}): Promise<void> {
    const writer = await this.create(path, options)
    try {
      await this.#doing('writing', path, () => writer.write(bytes))
      await this.#doing('closing', path, () => writer.close())
    } catch (error) {
      await writer.abort()
      throw error
    }
  }

  /** Runs a call of a writer, with the errors of this class. */
  async writing(path: string, action: () => Promise<void>): Promise<void> {
    await this.#doing('writing', path, action)
  }

  /** Bytes `[offset, offset + length)` in pieces, fewer where the file ends before; takes no more than is asked for. */
  async *read(
    path: string,
    offset = 0,
    length: number = Number.MAX_SAFE_INTEGER - offset,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* readRange(this.#nameNodes, this.#means, path, offset, length)
    } catch (error) {
      throw this.#error(error, 'reading', path)
    }
  }

  /**
   * Renames in one atomic step, and only if nothing has that name. A reply that was lost is settled by the number of
   * the inode, in whatever folder it is by then.
   *
   * @throws ERR_HDFS_READ_ONLY where the server is HttpFS, which would move a folder into one that is there
   */
  async renameExclusive(from: string, to: string): Promise<HdfsRenameOutcome> {
    return this.#doing(`renaming ${from} to`, to, () => this.#rename(from, to))
  }

  /** Removes a file, or a folder with all that is in it; not an error when nothing is there. */
  async remove(path: string): Promise<void> {
    await this.#doing('removing', path, () => this.#delete(path))
  }

  /** As `hdfs dfs -rm -r`: into the trash, where the server keeps one, for as long as it keeps it. */
  async moveToTrash(path: string): Promise<void> {
    await this.#doing('moving to the trash', path, async () => {
      if (!this.#means.settings.trash || (await this.#keptMinutes()) === 0) return this.#delete(path)
      try {
        await this.#trash(path)
      } catch (error) {
        if (!(error instanceof RequestFailure) || error.code !== 'ERR_HDFS_FULL') throw error
        // The trash itself is full.
        await this.#delete(path)
      }
    })
  }

  /**
   * Refuses servers on which an exclusive rename is none.
   *
   * @throws ERR_HDFS_READ_ONLY
   */
  async requireExclusiveRename(path: string): Promise<void> {
    await this.#doing('writing to', path, () => this.#requireNameNode(path))
  }

  /** Ends idle connections. */
  close(): void {
    this.#means.exchange.close()
  }

  async #status(path: string): Promise<HdfsStatus | undefined> {
    return this.#unlessMissing({ method: 'GET', op: 'GETFILESTATUS', path }, parseStatus)
  }

  async #unlessMissing<T>(operation: Operation, read: (text: string) => T): Promise<T | undefined> {
    try {
      return read((await this.#nameNodes.call(operation)).text)
    } catch (error) {
      if (error instanceof RequestFailure && error.code === 'ERR_HDFS_MISSING') return undefined
      throw error
    }
  }

  async #delete(path: string): Promise<void> {
    await this.#nameNodes.call({ method: 'DELETE', op: 'DELETE', path, params: { recursive: true } })
  }

  async #discard(path: string): Promise<void> {
    const operation: Operation = { method: 'DELETE', op: 'DELETE', path }
    await this.#nameNodes.call(operation, this.#nameNodes.patience(ONCE_MS)).catch(() => undefined)
  }

  #partOf(path: string): string {
    const chance = this.#means.random
      .below(2 ** 32)
      .toString(16)
      .padStart(8, '0')
    return childPath(parentOf(path), `.${nameOf(path)}.${chance}.part`)
  }

  async #rename(from: string, to: string): Promise<HdfsRenameOutcome> {
    await this.#requireNameNode(to)
    const [source, target] = await Promise.all([this.#status(from), this.#status(parentOf(to))])
    if (source === undefined || target === undefined || !target.directory) return 'missing'
    try {
      await this.#nameNodes.call({
        method: 'PUT',
        op: 'RENAME',
        path: from,
        params: { destination: to, renameoptions: 'NONE' },
      })
      return 'done'
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      // Somebody may have renamed the folder since: it is asked by its number.
      const landed = `${INODES}/${target.fileId!}/${nameOf(to)}`
      if (error.ambiguous && (await this.#status(landed))?.fileId === source.fileId) return 'done'
      if (error.code === 'ERR_HDFS_EXISTS') return 'exists'
      if (error.code === 'ERR_HDFS_MISSING') return 'missing'
      // Where a folder would come onto a file, HDFS names no reason that has a name.
      if (error.code === 'ERR_HDFS_REFUSED' && (await this.#status(to)) !== undefined) return 'exists'
      throw error
    }
  }

  async #requireNameNode(path: string): Promise<void> {
    this.#dialect ??= this.#findDialect(path).catch((error: unknown) => {
      this.#dialect = undefined
      throw error
    })
    if ((await this.#dialect) === 'namenode') return
    throw new TroupeError('ERR_HDFS_READ_ONLY', `${this.name} is an HttpFS: it ignores renameoptions`, {
      data: { place: this.name },
    })
  }

  /** Renames nothing to nowhere: a NameNode says that it is not there, HttpFS that it was not renamed. */
  async #findDialect(path: string): Promise<'namenode' | 'httpfs'> {
    const nothing = this.#partOf(path)
    try {
      const { text } = await this.#nameNodes.call({
        method: 'PUT',
        op: 'RENAME',
        path: nothing,
        params: { destination: `${nothing}.moved`, renameoptions: 'NONE' },
      })
      return parseBoolean(text) === undefined ? 'namenode' : 'httpfs'
    } catch (error) {
      // Who may not write there is told so when it writes.
      const answered =
        error instanceof RequestFailure && ['ERR_HDFS_MISSING', 'ERR_HDFS_DENIED'].includes(error.code)
      if (answered) return 'namenode'
      throw error
    }
  }

  async #keptMinutes(): Promise<number> {
    this.#trashMinutes ??= this.#nameNodes.call({ method: 'GET', op: 'GETSERVERDEFAULTS', path: '/' }).then(
      ({ text }) => Number(field(field(parse(text), 'FsServerDefaults'), 'trashInterval') ?? 0),
      // Before Hadoop 3.1 nobody can ask.
      (error: unknown) => {
        if (error instanceof RequestFailure && error.code === 'ERR_HDFS_REFUSED') return 0
        this.#trashMinutes = undefined
        throw error
      },
    )
    return this.#trashMinutes
  }

  async #trash(path: string): Promise<void> {
    const { text } = await this.#nameNodes.call({ method: 'GET', op: 'GETTRASHROOT', path })
    const root = field(parse(text), 'Path')
    if (typeof root !== 'string') return this.#delete(path)
    const target = `${root}/Current${path}`
    await this.#nameNodes.call({
      method: 'PUT',
      op: 'MKDIRS',
      path: parentOf(target),
      params: { permission: '700' },
    })
    const moved = await this.#rename(path, target)
    // As Hadoop does: what was thrown away before under this name stays.
    if (moved === 'exists') await this.#rename(path, `${target}${this.#means.clock.now()}`)
  }

  async #doing<T>(doing: string, path: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      throw this.#error(error, doing, path)
    }
  }

  #error(error: unknown, doing: string, path: string): unknown {
    return error instanceof RequestFailure ? error.toError(doing, `${this.name}${path}`) : error
  }
}

function refusal(code: 'ERR_HDFS_EXISTS' | 'ERR_HDFS_MISSING', what: string): RequestFailure {
  return new RequestFailure(what, { code, reaction: 'end' })
}

function credentialsFor(service: NameService, means: HdfsMeans): Credentials {
  const { token, tokenFile, authentication, delegate, user } = means.settings
  if (token !== undefined) return new GivenToken({ token })
  if (tokenFile !== undefined) return new GivenToken({ file: tokenFile })
  const kerberos = authentication === undefined ? service.kerberos : authentication === 'kerberos'
  const own = kerberos ? new Spnego() : new UserName(user)
  if (!delegate) return own
  const desk = new NameNodes(service, means, own)
  return new OwnToken(
    {
      async issue() {
        const { text } = await desk.call({
          method: 'GET',
          op: 'GETDELEGATIONTOKEN',
          path: '/',
          params: { renewer: user },
        })
        return String(field(field(parse(text), 'Token'), 'urlString'))
      },
      async renew(given) {
        const { text } = await desk.call({
          method: 'PUT',
          op: 'RENEWDELEGATIONTOKEN',
          path: '/',
          params: { token: given },
        })
        return Number(field(parse(text), 'long'))
      },
    },
    means.clock,
  )
}
