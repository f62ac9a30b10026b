import { DataNodes, transfer, type DataPlace } from './data-node.js'
import type { HttpUpload } from './exchange.js'
import { RequestFailure } from './failure.js'
import { readAnswer, type HdfsMeans, type NameNodes } from './name-nodes.js'

/** What a writer asks of the client that made it. */
export interface WriterPort {
  /** Bytes of a closed file; undefined when it is not there. */
  lengthOf(path: string): Promise<number | undefined>
  /** As {@link WebHdfs.renameExclusive}. */
  rename(from: string, to: string): Promise<'done' | 'exists' | 'missing'>
  /** Asks once; never rejects. */
  discard(path: string): Promise<void>
  /** A name next to `path` that nobody else chooses. */
  partOf(path: string): string
}

export interface WriterOptions {
  /** Makes the folders above the file. @default false: they must be there */
  readonly createParents?: boolean
}

/**
 * A file on its way into HDFS, from its beginning to its end. Calls do not overlap.
 *
 * It is written under a name of its own and gets the one it was asked for by an exclusive rename, once it has the
 * length that was sent: HDFS closes a file whose upload breaks off, and shows it as if it were whole. For the same
 * reason a try that failed is not continued: what is short enough is sent again, under another name.
 */
export class HdfsWriter {
  readonly #path: string
  readonly #options: WriterOptions
  readonly #port: WriterPort
  readonly #means: HdfsMeans
  readonly #dataNodes: DataNodes
  #part = ''
  #place: DataPlace | undefined
  #upload: HttpUpload | undefined
  #bytes = 0
  /** All that was written so far, while it may be sent again. */
  #kept: Uint8Array[] | undefined = []

  constructor(
    path: string,
    options: WriterOptions,
    port: WriterPort,
    nameNodes: NameNodes,
    means: HdfsMeans,
  ) {
    this.#path = path
    this.#options = options
    this.#port = port
    this.#means = means
    this.#dataNodes = new DataNodes(nameNodes, means)
  }

  /** Connects to a DataNode. Called once, before anything else. */
  async open(): Promise<void> {
    await this.#until(async () => this.#begin())
  }

  /** Appends; the bytes are the caller's again once it resolves. */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return
    this.#bytes += bytes.byteLength
    const again = this.#keep(bytes)
    await this.#until(async tries => (tries === 1 ? this.#upload!.write(bytes) : this.#begin()), again)
  }

  /**
   * Ends the file.
   *
   * @throws RequestFailure; ERR_HDFS_EXISTS when somebody else has made a file of this name meanwhile
   */
  async close(): Promise<void> {
    await this.#until(async tries => {
      if (tries > 1) await this.#begin()
      await readAnswer(await this.#upload!.finish())
      const found = await this.#port.lengthOf(this.#part)
      if (found !== this.#bytes) throw cut(found, this.#bytes)
    }, this.#kept !== undefined)
    this.#upload = undefined
    this.#kept = undefined
    const renamed = await this.#port.rename(this.#part, this.#path)
    if (renamed === 'done') return
    await this.#port.discard(this.#part)
    const code = renamed === 'exists' ? 'ERR_HDFS_EXISTS' : 'ERR_HDFS_MISSING'
    throw new RequestFailure(
      renamed === 'exists' ? 'somebody else made it meanwhile' : 'its folder is gone',
      {
        code,
        reaction: 'end',
      },
    )
  }

  /** Gives the file up; never rejects. */
  async abort(): Promise<void> {
    this.#upload?.abort()
    this.#upload = undefined
    this.#kept = undefined
    if (this.#part !== '') await this.#port.discard(this.#part)
  }

  /** Repeats an action as long as what was written can be sent again and the failure lets hope. */
  async #until(action: (tries: number) => Promise<void>, repeatable = true): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await action(tries)
      } catch (error) {
        const failure = await this.#reason(error)
        const left = this.#part
        this.#upload?.abort()
        this.#upload = undefined
        this.#part = ''
        if (left !== '') await this.#port.discard(left)
        if (!repeatable) throw failure
        await this.#dataNodes.recover(failure, this.#place)
      }
    }
  }

  /** A try from the beginning: all that was kept is sent. */
  async #begin(): Promise<void> {
    const part = this.#port.partOf(this.#path)
    const { createParents = false } = this.#options
    const { syncBlocks } = this.#means.settings
    this.#place = undefined
    this.#place = await this.#dataNodes.find({
      method: 'PUT',
      op: 'CREATE',
      path: part,
      params: {
        overwrite: false,
        createparent: createParents,
        ...(syncBlocks ? { createflag: 'create,sync_block' } : {}),
      },
    })
    this.#part = part
    this.#upload = await this.#means.exchange.upload(transfer('PUT', this.#place))
    for (const bytes of this.#kept ?? []) await this.#upload.write(bytes)
  }

  /** @returns whether all that was written so far can be sent again */
  #keep(bytes: Uint8Array): boolean {
    if (this.#bytes > this.#means.settings.replayMaxBytes) this.#kept = undefined
    this.#kept?.push(bytes.slice())
    return this.#kept !== undefined
  }

  /** A server that breaks an upload off has said why. */
  async #reason(error: unknown): Promise<RequestFailure> {
    if (!(error instanceof RequestFailure)) throw error
    // One that was read already names its exception.
    const reply = error.exception === '' ? this.#upload?.early() : undefined
    if (reply === undefined) return error
    try {
      await readAnswer(await reply)
      return error
    } catch (answered) {
      return answered instanceof RequestFailure ? answered : error
    }
  }
}

function cut(found: number | undefined, bytes: number): RequestFailure {
  const has = found === undefined ? 'it is gone' : `${found} bytes are there`
  return new RequestFailure(`${bytes} bytes were sent, and confirmed; ${has}`, {
    code: 'ERR_HDFS_UNAVAILABLE',
    reaction: 'wait',
  })
}
