/**
 * The one thing that a simulation takes from the machine: a turn of the event loop, after which no microtask is
 * left. Taken when this module loads, so that the guard, which replaces the global, does not reach it.
 */
const immediate = setImmediate

/** Is a turn being asked for right now? Lets the guard's hook tell the simulation's own turns from a program's. */
export const turn = { asked: false }

/** Calls `callback` when every microtask and `process.nextTick` that is queued, or queued by those, has run. */
export function afterTurn(callback: () => void): void {
  turn.asked = true
  immediate(callback)
  turn.asked = false
}

/** Waits for `turns` turns of the event loop: each drains all microtasks, and one round of `setImmediate`. */
export async function settle(turns = 1): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>(afterTurn)
}
