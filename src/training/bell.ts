import { token } from '../determinism/index.js'

/**
 * A word in shared memory that one side rings and the other listens to. Rings that come while the listener is busy
 * fall together into one.
 */
export interface Bell {
  ring(): void
  /**
   * Calls `onRing` after each ring, from this thread's event loop, and once in the beginning. Listening does not
   * keep the event loop alive. Whatever a ring announces was written before it, so a listener that then looks
   * misses nothing.
   */
  listen(onRing: () => void): BellListener
}

export interface BellListener {
  /** No call of `onRing` begins afterwards. */
  stop(): void
}

/** Makes a bell of a word of shared memory: a port, since a simulation has neither threads nor their wake-ups. */
export type Bells = (words: Int32Array, index: number) => Bell

export const Bells = token<Bells>('Bells')

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { async: false; value: 'not-equal' | 'timed-out' } | { async: true; value: Promise<'ok' | 'timed-out'> }

/** In every Node that Troupe runs on (V8 >= 8.7); ES2024, so the compiler's library does not name it yet. */
const { waitAsync } = Atomics as unknown as { waitAsync: WaitAsync }

/** Bells between threads: ringing costs one atomic operation and one wake-up. */
export const atomicBells: Bells = (words, index) => ({
  ring() {
    Atomics.add(words, index, 1)
    Atomics.notify(words, index)
  },
  listen(onRing) {
    let stopped = false
    const loop = async (): Promise<void> => {
      for (;;) {
        const seen = Atomics.load(words, index)
        if (stopped) return
        onRing()
        const waiting = waitAsync(words, index, seen)
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
  },
})

/**
 * Bells within one thread, whatever calls them: a ring is heard in a turn of its own.
 *
 * @param later runs a function in a later turn, such as `queueMicrotask`, or a simulation's scheduler
 */
export function localBells(later: (run: () => void) => void): Bells {
  const listeners = new WeakMap<ArrayBufferLike, Map<number, Set<() => void>>>()
  const at = (words: Int32Array, index: number): Set<() => void> => {
    const bytes = words.byteOffset + index * Int32Array.BYTES_PER_ELEMENT
    const inBuffer = listeners.get(words.buffer) ?? new Map<number, Set<() => void>>()
    listeners.set(words.buffer, inBuffer)
    const heard = inBuffer.get(bytes) ?? new Set<() => void>()
    inBuffer.set(bytes, heard)
    return heard
  }
  return (words, index) => ({
    ring() {
      Atomics.add(words, index, 1)
      for (const hear of at(words, index)) hear()
    },
    listen(onRing) {
      let due = false
      const hear = (): void => {
        if (due) return
        due = true
        later(() => {
          due = false
          if (at(words, index).has(hear)) onRing()
        })
      }
      at(words, index).add(hear)
      hear()
      return { stop: () => at(words, index).delete(hear) }
    },
  })
}
