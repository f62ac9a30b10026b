import type { Clock, Timer } from '../../determinism/index.js'
import type { RemotingCounters } from './counters.js'
import { MAX_PAUSE_MS, type RemotingLimits } from './options.js'

/** Messages under way at once: the rest waits, so that a resend is never a burst of thousands. */
const WINDOW = 256

interface Queued {
  readonly sequence: number
  readonly frame: Uint8Array
  readonly onAcknowledged: (() => void) | undefined
}

export interface SystemChannelOptions {
  readonly clock: Clock
  readonly limits: RemotingLimits
  readonly counters: RemotingCounters
  /** False when the lane is full. */
  readonly send: (frame: Uint8Array) => boolean
  /** More waits than the bounds allow. */
  readonly onOverflow: () => void
}

/**
 * System messages to and from one node, each handled exactly once and in order while both nodes live: numbered,
 * acknowledged up to a number, sent again by timer. Only the next one is taken; what comes early is sent again.
 */
export class SystemChannel {
  readonly #options: SystemChannelOptions
  readonly #queue: Queued[] = []
  #bytes = 0
  /** How many of the queue are under way. */
  #flying = 0
  #posted = 0
  #received = 0
  #pauseMs: number
  #timer: Timer | undefined
  #closed = false
  readonly #waiting: (() => void)[] = []

  constructor(options: SystemChannelOptions) {
    this.#options = options
    this.#pauseMs = options.limits.resendAfterMs
  }

  /** Messages not acknowledged. */
  get waiting(): number {
    return this.#queue.length
  }

  /** The last message taken from the other side: what it is told is acknowledged. */
  get received(): number {
    return this.#received
  }

  /** Sends one message; `frameOf` is given its sequence. `onAcknowledged` is called once the other side took it. */
  post(frameOf: (sequence: number) => Uint8Array, onAcknowledged?: () => void): void {
    if (this.#closed) return
    const sequence = ++this.#posted
    const frame = frameOf(sequence)
    this.#queue.push({ sequence, frame, onAcknowledged })
    this.#bytes += frame.byteLength
    const { maxSystemMessages, maxSystemBytes } = this.#options.limits
    if (this.#queue.length > maxSystemMessages || (this.#queue.length > 1 && this.#bytes > maxSystemBytes)) {
      this.#options.onOverflow()
      return
    }
    this.flush()
  }

  /** Sends what waits and fits into the window. */
  flush(): void {
    while (!this.#closed && this.#flying < Math.min(this.#queue.length, WINDOW)) {
      // a full lane takes it later: by the resend timer at the latest
      if (!this.#options.send(this.#queue[this.#flying]!.frame)) break
      this.#flying++
    }
    this.#arm()
  }

  /** The other side has taken all up to `sequence`. */
  acknowledged(sequence: number): void {
    const taken: Queued[] = []
    while (this.#queue.length > 0 && this.#queue[0]!.sequence <= sequence) {
      const queued = this.#queue.shift()!
      this.#bytes -= queued.frame.byteLength
      if (this.#flying > 0) this.#flying--
      taken.push(queued)
    }
    if (taken.length === 0) return
    this.#pauseMs = this.#options.limits.resendAfterMs
    this.#timer?.cancel()
    this.#timer = undefined
    for (const { onAcknowledged } of taken) onAcknowledged?.()
    this.flush()
    if (this.#queue.length === 0) this.#tellDrained()
  }

  /** Resolves when everything is acknowledged, or will never be. */
  drained(): Promise<void> {
    if (this.#queue.length === 0) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  /** Is a message with this sequence the next one? Takes it if so. */
  take(sequence: number): boolean {
    if (sequence !== this.#received + 1) return false
    this.#received = sequence
    return true
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#timer = undefined
    this.#queue.length = this.#bytes = this.#flying = 0
    this.#tellDrained()
  }

  #tellDrained(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #arm(): void {
    if (this.#closed || this.#timer !== undefined || this.#queue.length === 0) return
    this.#timer = this.#options.clock.after(this.#pauseMs, () => {
      this.#timer = undefined
      this.resend()
    })
  }

  /** Nothing was acknowledged for a while: all that is under way goes out again. */
  resend(): void {
    this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS)
    this.#options.counters.resent += this.#flying
    this.#flying = 0
    this.flush()
  }
}
