import type { Clock } from '../determinism/index.js'

export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise(done => clock.after(delayMs, done))
}
