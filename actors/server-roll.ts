import type { ServerState } from './server-state.js'

/** Which servers hold what they should: a server that starts again comes with nothing. */
export class ServerRoll {
  /** By shard: the incarnation that was told last what it should hold. */
  readonly #restored = new Map<number, number>()
  /** By shard: the incarnation that came last. */
  readonly #came = new Map<number, number>()

  /** Did a server start after it was told last what it should hold? */
  get isLacking(): boolean {
    return [...this.#came].some(([shard, incarnation]) => incarnation > (this.#restored.get(shard) ?? 0))
  }

  came(shard: number, incarnation: number): void {
    this.#came.set(shard, incarnation)
  }

  /** All of them hold what they should, by shard. */
  hold(states: readonly ServerState[]): void {
    for (const [shard, { incarnation }] of states.entries()) this.#restored.set(shard, incarnation)
  }

  /** What they hold is of no use any more. */
  clear(): void {
    this.#restored.clear()
  }
}
