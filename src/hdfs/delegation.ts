import type { Clock } from '../determinism/index.js'
import { tokenProof, type Credentials, type Proof } from './credentials.js'

/** What the NameNode does for tokens, asked with the proof of who wants one. */
export interface TokenDesk {
  /** A new token, in its text form. */
  issue(): Promise<string>
  /** Resolves to when it runs out, by the wall clock, in milliseconds. */
  renew(token: string): Promise<number>
}

/** Renewed when this part of its time is over: what is left is for a NameNode that is away. */
const RENEW_AFTER = 0.75

/**
 * A delegation token that this process gets for itself and renews when it is used, so that a job of weeks goes on, and
 * a ticket is not needed for each request. Where no renewal helps (tokens have a last day) it gets another one.
 */
export class OwnToken implements Credentials {
  readonly #desk: TokenDesk
  readonly #clock: Clock
  #token: string | undefined
  /** By the clock that never goes back. */
  #renewAtMs = 0
  #busy: Promise<void> | undefined

  constructor(desk: TokenDesk, clock: Clock) {
    this.#desk = desk
    this.#clock = clock
  }

  async proof(): Promise<Proof> {
    if (this.#token === undefined || this.#clock.monotonic() >= this.#renewAtMs) await this.#refresh()
    return tokenProof(this.#token!)
  }

  learn(): void {
    // Nothing.
  }

  async refused(_origin: string, proof: Proof): Promise<boolean> {
    // Others that were refused at the same time wait for the same new one.
    if (proof.query['delegation'] === this.#token) this.#token = undefined
    return true
  }

  async #refresh(): Promise<void> {
    this.#busy ??= this.#obtain().finally(() => (this.#busy = undefined))
    await this.#busy
  }

  async #obtain(): Promise<void> {
    const token = this.#token ?? (await this.#desk.issue())
    try {
      this.#schedule(await this.#desk.renew(token))
      this.#token = token
    } catch (error) {
      if (this.#token === undefined) throw error
      // Beyond its last day, or cancelled.
      const next = await this.#desk.issue()
      this.#schedule(await this.#desk.renew(next))
      this.#token = next
    }
  }

  #schedule(expiresAtMs: number): void {
    const leftMs = Math.max(0, expiresAtMs - this.#clock.now())
    this.#renewAtMs = this.#clock.monotonic() + leftMs * RENEW_AFTER
  }
}
