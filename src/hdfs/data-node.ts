import type { HttpRequest } from './exchange.js'
import { RequestFailure } from './failure.js'
import { field, parse } from './file-status.js'
import type { Answer, HdfsMeans, NameNodes, Operation } from './name-nodes.js'
import { NO_DATA_NODE } from './remote-exception.js'
import type { Patience } from './retry.js'

/** Where the bytes of a file go or come from: a DataNode, or the server itself where a gateway stands before it. */
export interface DataPlace {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
}

/**
 * The DataNodes of one transfer: asks NameNodes for one, and leaves out those that failed. Names of hosts are all that
 * a URL tells, so a second DataNode of the same host may be left out with the first, and comes back with it.
 */
export class DataNodes {
  readonly #nameNodes: NameNodes
  readonly #means: HdfsMeans
  readonly #excluded = new Set<string>()
  #patience: Patience | undefined
  /** No NameNode answered for as long as one waits. */
  #lost = false

  constructor(nameNodes: NameNodes, means: HdfsMeans) {
    this.#nameNodes = nameNodes
    this.#means = means
  }

  /**
   * @param operation CREATE or OPEN
   * @throws RequestFailure
   */
  async find(operation: Operation): Promise<DataPlace> {
    for (;;) {
      const excluded = [...this.#excluded].join(',')
      const params = {
        ...operation.params,
        noredirect: true,
        ...(excluded === '' ? {} : { excludedatanodes: excluded }),
      }
      try {
        const answer = await this.#nameNodes.call({ ...operation, params }, this.#patience)
        return this.#follow(locationOf(answer))
      } catch (error) {
        this.#lost = true
        if (!(error instanceof RequestFailure) || !NO_DATA_NODE.test(error.message)) throw error
        this.#lost = false
        // All are left out, or none lives: one may come back.
        const { code, exception, message } = error
        await this.recover(new RequestFailure(message, { code, exception, reaction: 'wait' }), undefined)
      }
    }
  }

  /**
   * After a failure of the transfer: waits, unless it is of no use to try again.
   *
   * @throws the failure, then
   */
  async recover(failure: RequestFailure, place: DataPlace | undefined): Promise<void> {
    const repeatable = failure.reaction !== 'end'
    this.#patience ??= this.#nameNodes.patience()
    if (!repeatable || this.#lost || this.#patience.isOver()) throw failure
    if (failure.exception === 'StandbyException') this.#nameNodes.switchOver()
    // Without an answer, or one that names no reason of the NameNode's: it is the DataNode.
    else if (place !== undefined && failure.exception === '') this.#exclude(place.url.hostname)
    else this.#excluded.clear()
    await this.#patience.pause()
  }

  #exclude(host: string): void {
    // Excluded once more: the exclusion did not help, so it may be another's that lives.
    if (this.#excluded.has(host)) this.#excluded.delete(host)
    else this.#excluded.add(host)
  }

  #follow(location: string): DataPlace {
    const { origins } = this.#nameNodes.service
    const url = URL.canParse(location) ? new URL(location) : undefined
    if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw refused(`leads to ${location}`)
    if (url.protocol === 'http:' && origins.every(origin => origin.startsWith('https:'))) {
      throw refused(`leads from https to ${url.origin}, where anybody could listen`)
    }
    // What the options name for NameNodes and gateways goes to nobody else.
    const own = origins.includes(url.origin) ? this.#means.settings.headers : {}
    return { url, headers: { 'content-type': 'application/octet-stream', ...own } }
  }
}

/** The request that moves the bytes. */
export function transfer(method: HttpRequest['method'], { url, headers }: DataPlace): HttpRequest {
  return { method, url, headers }
}

function locationOf({ status, text, location }: Answer): string {
  // A server that does not know `noredirect` redirects.
  if (status >= 300 && location !== undefined) return location
  const told = field(parse(text), 'Location')
  if (typeof told === 'string') return told
  throw refused('names no DataNode')
}

function refused(what: string): RequestFailure {
  return new RequestFailure(`the answer ${what}`, { code: 'ERR_HDFS_REFUSED', reaction: 'end' })
}
