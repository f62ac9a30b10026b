import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Test } from 'tap'
import { Troupe, type ActorRef, type Isolation, type SpawnOptions, type TroupeOptions } from 'troupe'
import { VirtualClock } from 'troupe/testing'
import { Probe } from './actors/probe.js'
import { Subject, type SubjectArgs } from './actors/subject.js'

/** Where an actor under test runs: what holds for one holds for all. */
export const ISOLATIONS: readonly Isolation[] = ['inline', 'thread', 'process']

/** So that a test that makes actors fail need not move the clock for each restart. */
export const FORGIVING = { maxRestarts: 1_000, backoff: { baseMs: 0 } }

export interface Stage {
  readonly troupe: Troupe
  readonly clock: VirtualClock
  readonly probe: ActorRef<Probe>
  /** Spawns a subject that reports to the probe. */
  readonly spawn: (
    options: Omit<SpawnOptions, 'args'>,
    args?: Omit<SubjectArgs, 'probe'>,
  ) => Promise<ActorRef<Subject>>
}

let stages = 0

/** A strict, forgiving runtime under a virtual clock, with a probe in it; closed with the test. */
export async function stage(t: Test, options: TroupeOptions = {}): Promise<Stage> {
  const clock = new VirtualClock()
  const troupe = await Troupe.start({
    // of its own, since events of all runtimes go through the same channels
    name: `stage-${++stages}`,
    clock,
    seed: 1,
    strictPayloads: true,
    supervision: FORGIVING,
    ...options,
  })
  t.teardown(() => troupe.close())
  const probe = await troupe.spawn(Probe, { name: 'probe' })
  const spawn: Stage['spawn'] = (given, args) => troupe.spawn(Subject, { ...given, args: { probe, ...args } })
  return { troupe, clock, probe, spawn }
}

/** The same promise, kept for an actor on the event loop, and for one in a thread or process of its own. */
export function onEach(t: Test, title: string, body: (t: Test, isolation: Isolation) => Promise<void>): void {
  for (const isolation of ISOLATIONS) void t.test(`${title} (${isolation})`, t => body(t, isolation))
}

/** What a runtime publishes on a channel of `node:diagnostics_channel` during the test. */
export function published(t: Test, channel: string, troupe: Troupe): Record<string, unknown>[] {
  const seen: Record<string, unknown>[] = []
  const listener = (message: unknown): void => {
    const event = message as Record<string, unknown>
    if (event['runtime'] === troupe.runtime.name) seen.push(event)
  }
  subscribe(channel, listener)
  t.teardown(() => unsubscribe(channel, listener))
  return seen
}

/** Waits for what nothing reports; what never comes true fails by the test's time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 1))
}
