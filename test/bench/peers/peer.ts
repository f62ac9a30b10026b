/**
 * One implementation of the same small workload: a counter that is told to add and asked for its count. Every
 * method measures once; one that a library has no means for is absent.
 */
export interface ActorPeer {
  /** Appended to the names of its figures: '' for Troupe itself. */
  readonly suffix: string
  /** Tells `count` messages to one actor, in bursts; messages a second until all are handled. */
  readonly tell?: (count: number) => Promise<number>
  /** Asks one after the other; microseconds of each. */
  readonly ask?: (count: number) => Promise<Float64Array>
  /** Starts `count` actors, then stops them; milliseconds. */
  readonly spawnStop?: (count: number) => Promise<number>
  /** Fails an actor `count` times, asking it for a sign of life each time; microseconds a restart. */
  readonly restart?: (count: number) => Promise<number>
  /** As `ask`, of an actor in a worker thread. */
  readonly threadAsk?: (count: number) => Promise<Float64Array>
  /** Starts `count` actors and returns what keeps them reachable; no message is sent. */
  readonly idle?: (count: number) => Promise<{ readonly held: unknown; release: () => Promise<void> }>
  readonly close: () => Promise<void>
}

/** Messages told before the sender waits: below every mailbox's bound, above every batch. */
export const BURST = 10_000

/** Sends `count` messages in bursts; messages a second. `flush` resolves once all told so far are handled. */
export async function tellInBursts(
  count: number,
  burst: (messages: number) => void,
  flush: (told: number) => Promise<void>,
): Promise<number> {
  const start = performance.now()
  for (let told = 0; told < count; told += BURST) {
    burst(BURST)
    await flush(told + BURST)
  }
  return (count / (performance.now() - start)) * 1000
}

/** Asks one after the other; microseconds of each. */
export async function timeEach(count: number, ask: () => Promise<unknown>): Promise<Float64Array> {
  const micros = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await ask()
    micros[i] = (performance.now() - start) * 1000
  }
  return micros
}

/** Milliseconds that `work` takes. */
export async function timeAll(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** After pending I/O had its turn. */
export function turn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve)
  })
}
