import type { Test } from 'tap'
import type { ActorClass, ActorRef, Isolation, SpawnOptions } from 'troupe'
import { Subject, type SubjectArgs } from './actors/subject.js'
import { stage, type Stage } from './runtime.js'

export interface Child extends Omit<SpawnOptions, 'args'> {
  readonly args?: Omit<SubjectArgs, 'probe'>
}

export interface Family extends Stage {
  readonly parent: ActorRef<Subject>
  /** The addresses of children a, b and c, whether they are there or not. */
  readonly children: readonly [ActorRef<Subject>, ActorRef<Subject>, ActorRef<Subject>]
}

/** A parent `p` of that class and its children; the notes so far are taken. */
export async function family(
  t: Test,
  type: ActorClass<Subject>,
  children: readonly Child[],
  isolation: Isolation = 'inline',
): Promise<Family> {
  const staged = await stage(t)
  const { troupe, probe } = staged
  const parent = await troupe.spawn(type, { name: 'p', isolation, args: { probe, children } })
  await probe.ask.take()
  const child = (name: string): ActorRef<Subject> => troupe.lookup(Subject, `/p/${name}`)
  return { ...staged, parent, children: [child('a'), child('b'), child('c')] }
}

export const ABC: readonly Child[] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]

/** The children's restarts so far. */
export const restarts = ({ troupe }: Stage): number[] =>
  troupe.inspect().children[1]?.children.map(child => child.restarts) ?? []
