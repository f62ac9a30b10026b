import { readFile } from 'node:fs/promises'
import { RequestFailure } from './failure.js'
import type { HttpReply } from './exchange.js'

/** What a request to a NameNode carries to say who asks. */
export interface Proof {
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

/** Says who asks. One for each client; several requests ask it at once. */
export interface Credentials {
  /** @param origin of the NameNode, such as `http://host:9870` */
  proof(origin: string): Promise<Proof>
  /** Looks at an answer for what it gives to later requests. */
  learn(origin: string, reply: HttpReply): void
  /** A proof was not taken. Resolves to whether there is another one to try. */
  refused(origin: string, proof: Proof): Promise<boolean>
}

/** A name that nobody checks. */
export class UserName implements Credentials {
  readonly #proof: Proof

  constructor(user: string) {
    this.#proof = { query: { 'user.name': user }, headers: {} }
  }

  async proof(): Promise<Proof> {
    return this.#proof
  }

  learn(): void {
    // Nothing: Hadoop sends a cookie that says the same.
  }

  async refused(): Promise<boolean> {
    return false
  }
}

/** A delegation token that was given; read again from its file when it is not taken, since somebody may renew it there. */
export class GivenToken implements Credentials {
  readonly #file: string | undefined
  #token: string | undefined

  constructor(source: { readonly token: string } | { readonly file: string }) {
    this.#token = 'token' in source ? source.token : undefined
    this.#file = 'file' in source ? source.file : undefined
  }

  async proof(): Promise<Proof> {
    this.#token ??= await this.#read()
    return tokenProof(this.#token)
  }

  learn(): void {
    // Nothing.
  }

  async refused(_origin: string, proof: Proof): Promise<boolean> {
    if (this.#file === undefined) return false
    this.#token = await this.#read()
    return this.#token !== proof.query['delegation']
  }

  async #read(): Promise<string> {
    try {
      return (await readFile(this.#file!, 'utf8')).trim()
    } catch (error) {
      throw new RequestFailure(`the token file ${this.#file!} cannot be read`, {
        code: 'ERR_HDFS_AUTHENTICATION',
        reaction: 'end',
        cause: error,
      })
    }
  }
}

export function tokenProof(token: string): Proof {
  return { query: { delegation: token }, headers: {} }
}
