import { RequestFailure } from './failure.js'
import type { Credentials, Proof } from './credentials.js'
import type { HttpReply } from './exchange.js'

/** The part of the npm package `kerberos` that is used. */
export interface KerberosPackage {
  readonly GSS_MECH_OID_SPNEGO: number
  initializeClient(service: string, options: { mechOID: number }): Promise<KerberosClient>
}

interface KerberosClient {
  step(challenge: string): Promise<string>
}

/** The name of an optional package: not one of this project's own. */
const PACKAGE: string = 'kerberos'

/** @throws RequestFailure ERR_HDFS_AUTHENTICATION when it is not installed, or does not load */
export async function loadKerberos(): Promise<KerberosPackage> {
  try {
    const loaded = (await import(PACKAGE)) as KerberosPackage & { default?: KerberosPackage }
    return loaded.default ?? loaded
  } catch (error) {
    // Loaders have codes of their own for it, or none.
    const missing = /^Cannot find (?:package|module) 'kerberos'/.test((error as Error).message)
    const what = missing
      ? 'Kerberos needs the package kerberos, which is not installed: npm install kerberos'
      : 'the package kerberos does not load'
    throw new RequestFailure(what, { code: 'ERR_HDFS_AUTHENTICATION', reaction: 'end', cause: error })
  }
}

const COOKIE = 'hadoop.auth'

/**
 * Kerberos by SPNEGO (RFC 4559): a ticket for `HTTP@host` opens, then Hadoop's cookie stands for it until that is no
 * longer taken.
 */
export class Spnego implements Credentials {
  readonly #load: () => Promise<KerberosPackage>
  readonly #cookies = new Map<string, string>()
  #package: Promise<KerberosPackage> | undefined

  constructor(load: () => Promise<KerberosPackage> = loadKerberos) {
    this.#load = load
  }

  async proof(origin: string): Promise<Proof> {
    const cookie = this.#cookies.get(origin)
    if (cookie !== undefined) return { query: {}, headers: { cookie: `${COOKIE}=${cookie}` } }
    return { query: {}, headers: { authorization: `Negotiate ${await this.#ticket(origin)}` } }
  }

  learn(origin: string, reply: HttpReply): void {
    for (const header of reply.headers['set-cookie'] ?? []) {
      const value = new RegExp(`^${COOKIE.replace('.', '\\.')}=("[^"]*"|[^;]*)`).exec(header)?.[1]
      // An empty one takes it back.
      if (value === '' || value === '""') this.#cookies.delete(origin)
      else if (value !== undefined) this.#cookies.set(origin, value)
    }
  }

  async refused(origin: string, proof: Proof): Promise<boolean> {
    // A cookie runs out; a fresh ticket that is refused is refused again.
    if (proof.headers['cookie'] === undefined) return false
    this.#cookies.delete(origin)
    return true
  }

  async #ticket(origin: string): Promise<string> {
    const kerberos = await (this.#package ??= this.#load())
    const { hostname } = new URL(origin)
    try {
      const client = await kerberos.initializeClient(`HTTP@${hostname}`, {
        mechOID: kerberos.GSS_MECH_OID_SPNEGO,
      })
      return await client.step('')
    } catch (error) {
      throw new RequestFailure(`no Kerberos ticket for HTTP@${hostname}: run kinit, or check the keytab`, {
        code: 'ERR_HDFS_AUTHENTICATION',
        reaction: 'end',
        cause: error,
      })
    }
  }
}
