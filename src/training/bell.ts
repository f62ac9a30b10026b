/**
 * A word in shared memory that one side rings and the other listens to. Ringing costs one atomic operation and one
 * wake-up; rings that come while the listener is busy fall together into one.
 */
export class Bell {
  readonly #words: Int32Array
  readonly #index: number

  constructor(words: Int32Array, index: number) {
    this.#words = words
    this.#index = index
  }

  ring(): void {
    Atomics.add(this.#words, this.#index, 1)
    Atomics.notify(this.#words, this.#index)
  }

  /**
   * Calls `onRing` after each ring, from this thread's event loop, and once in the beginning. Listening does not
   * keep the event loop alive. Whatever a ring announces was written before it, so a listener that then looks
   * misses nothing.
   */
  listen(onRing: () => void): BellListener {
    let stopped = false
    const loop = async (): Promise<void> => {
      for (;;) {
        const seen = Atomics.load(this.#words, this.#index)
        if (stopped) return
        onRing()
        const waiting = waitAsync(this.#words, this.#index, seen)
        if (waiting.async) await waiting.value
      }
    }
    void loop()
    return {
      stop: () => {
        stopped = true
        this.ring()
      },
    }
  }
}

export interface BellListener {
  /** No call of `onRing` begins afterwards. */
  stop(): void
}

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { async: false; value: 'not-equal' | 'timed-out' } | { async: true; value: Promise<'ok' | 'timed-out'> }

/** In every Node that Troupe runs on (V8 >= 8.7); ES2024, so the compiler's library does not name it yet. */
const { waitAsync } = Atomics as unknown as { waitAsync: WaitAsync }
