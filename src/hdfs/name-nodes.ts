import type { Clock, Random } from '../determinism/index.js'
import type { Credentials, Proof } from './credentials.js'
import { readText, type HttpExchange, type HttpReply, type HttpRequest } from './exchange.js'
import { RequestFailure } from './failure.js'
import type { NameService } from './name-service.js'
import type { HdfsSettings } from './options.js'
import { remoteFailure } from './remote-exception.js'
import { Patience } from './retry.js'

/** One operation of the NameNode: what the WebHDFS REST API calls `op`, with its parameters. */
export interface Operation {
  readonly method: HttpRequest['method']
  readonly op: string
  /** Absolute. */
  readonly path: string
  readonly params?: Readonly<Record<string, string | number | boolean>>
}

export interface Answer {
  readonly status: number
  readonly text: string
  readonly location: string | undefined
  /** An earlier try of the same operation may have been carried out, though nobody said so. */
  readonly repeated: boolean
}

/** What the network needs of its surroundings. */
export interface HdfsMeans {
  readonly settings: HdfsSettings
  readonly exchange: HttpExchange
  readonly clock: Clock
  readonly random: Random
}

/** A proof that was refused is made anew this often for one operation. */
const MAX_PROOFS = 3

/** The NameNodes of one file system, of which one is active: whoever answers is asked first the next time. */
export class NameNodes {
  readonly service: NameService
  readonly #means: HdfsMeans
  readonly #credentials: Credentials
  #active = 0

  constructor(service: NameService, means: HdfsMeans, credentials: Credentials) {
    this.service = service
    this.#means = means
    this.#credentials = credentials
  }

  /** @param forMs how long something is tried again. @default what the options give */
  patience(forMs: number = this.#means.settings.retryForMs): Patience {
    return new Patience(this.#means.clock, this.#means.random, forMs)
  }

  /** After an answer that came from a NameNode, by way of a DataNode: this one is not active. */
  switchOver(): void {
    this.#active = (this.#active + 1) % this.service.origins.length
  }

  /**
   * Carries out an operation that may be repeated: on the other NameNode where this one does not answer or is not
   * active, later where neither is.
   *
   * @throws RequestFailure
   */
  async call(operation: Operation, patience: Patience = this.patience()): Promise<Answer> {
    let repeated = false
    let silent = 0
    let proofs = 0
    for (;;) {
      const origin = this.service.origins[this.#active]!
      const proof = await this.#credentials.proof(origin)
      try {
        return { ...(await this.#ask(origin, operation, proof)), repeated }
      } catch (error) {
        if (!(error instanceof RequestFailure)) throw error
        repeated ||= error.ambiguous
        if (error.reaction === 'authenticate') {
          if (++proofs < MAX_PROOFS && (await this.#credentials.refused(origin, proof))) continue
          throw ended(error, repeated)
        }
        if (error.reaction === 'end') throw ended(error, repeated)
        if (error.reaction === 'switch') {
          this.switchOver()
          // The other one is asked at once; after a round without an answer, and where there is no other, later.
          if (++silent % this.service.origins.length !== 0) continue
        }
        if (patience.isOver()) throw ended(error, repeated)
        await patience.pause()
      }
    }
  }

  async #ask(origin: string, operation: Operation, proof: Proof): Promise<Omit<Answer, 'repeated'>> {
    const { exchange, settings } = this.#means
    const url = operationUrl(`${origin}${settings.basePath}`, operation, proof.query)
    const headers = {
      accept: '*/*',
      // HttpFS wants it for whatever has a body, also where there is none.
      ...(operation.method === 'GET'
        ? {}
        : { 'content-type': 'application/octet-stream', 'content-length': '0' }),
      ...settings.headers,
      ...proof.headers,
    }
    const reply = await exchange.send({ method: operation.method, url, headers })
    this.#credentials.learn(origin, reply)
    return readAnswer(reply)
  }
}

/** @throws RequestFailure for a status of 400 and above */
export async function readAnswer(reply: HttpReply): Promise<Omit<Answer, 'repeated'>> {
  const text = await readText(reply)
  if (reply.status >= 400) throw remoteFailure(reply.status, text)
  return { status: reply.status, text, location: reply.headers.location }
}

/** Each segment is encoded on its own: a name may hold `%`, `?`, `#`, spaces and what Unicode has. */
export function operationUrl(
  base: string,
  { op, path, params = {} }: Operation,
  proof: Readonly<Record<string, string>>,
): URL {
  const segments = path.split('/').map(encodeURIComponent).join('/')
  const query = Object.entries({ op, ...proof, ...params }).map(
    ([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`,
  )
  return new URL(`${base}${segments}?${query.join('&')}`)
}

/** The last failure, which also stands for those before it that may have been successes. */
function ended(error: RequestFailure, repeated: boolean): RequestFailure {
  if (error.ambiguous || !repeated) return error
  const { code, reaction, exception, message, cause } = error
  return new RequestFailure(message, { code, reaction, exception, cause, ambiguous: true })
}
