import type { Test } from 'tap'
import type { ActorRef, Isolation, SpawnOptions } from 'troupe'
import { Rogue } from './actors/rogue.js'
import { ISOLATIONS, stage, type Stage } from './runtime.js'

export interface Show extends Stage {
  readonly rogue: ActorRef<Rogue>
  /** What the runtime's log was told at `level`. */
  readonly said: { level: string; text: string; fields: unknown }[]
}

export type Apart = Exclude<Isolation, 'inline'>

/** The same promise, kept for an actor in a thread and for one in a process. */
export function apart(t: Test, title: string, body: (t: Test, isolation: Apart) => Promise<void>): void {
  for (const isolation of ISOLATIONS) {
    if (isolation !== 'inline') void t.test(`${title} (${isolation})`, t => body(t, isolation))
  }
}

/** A stage with a rogue that is isolated so. */
export async function show(t: Test, isolation: Apart, options: Partial<SpawnOptions> = {}): Promise<Show> {
  const said: Show['said'] = []
  const say =
    (level: string) =>
    (text: string, fields?: unknown): void =>
      void said.push({ level, text, fields })
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  const staged = await stage(t, { log })
  const rogue = await staged.troupe.spawn(Rogue, { name: 'rogue', isolation, ...options })
  return { ...staged, rogue, said }
}

export const view = ({ troupe }: Stage) => troupe.inspect().children[1]
