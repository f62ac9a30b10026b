import type { Test } from 'tap'
import { Troupe, type ActorRef, type Isolation, type TroupeOptions } from 'troupe'
import { VirtualClock } from 'troupe/testing'
import { Probe } from './actors/probe.js'

/** Where an actor under test runs: what holds for one holds for the other. */
export const ISOLATIONS: readonly Isolation[] = ['inline', 'thread']

export interface Stage {
  readonly troupe: Troupe
  readonly clock: VirtualClock
  readonly probe: ActorRef<Probe>
}

/** A strict runtime under a virtual clock, with a probe in it; closed with the test. */
export async function stage(t: Test, options: TroupeOptions = {}): Promise<Stage> {
  const clock = new VirtualClock()
  const troupe = await Troupe.start({ clock, seed: 1, strictPayloads: true, ...options })
  t.teardown(() => troupe.close())
  const probe = await troupe.spawn(Probe, { name: 'probe' })
  return { troupe, clock, probe }
}

/** The same promise, kept for an actor on the event loop and for one in a thread of its own. */
export function onBoth(t: Test, title: string, body: (t: Test, isolation: Isolation) => Promise<void>): void {
  for (const isolation of ISOLATIONS) void t.test(`${title} (${isolation})`, t => body(t, isolation))
}

/** Gives the event loop turns until `condition` holds; a promise that is not kept fails by the test's time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 1))
}
