// A chief of the generation before, whose machine was cut off when the job went back to a checkpoint: it is believed
// dead, comes again, and goes on. Incarnations are numbered on each machine, so its own says nothing about its age.
import type { Troupe } from 'troupe'
import { ParameterServer } from 'troupe/actors'
import type { Simulation } from 'troupe/testing'
import { validationKey } from './synthetic-program.js'

const INCARNATION = 1000
/** What it found in a validation, on weights that nobody else has. */
const FOUND = 666

/** Resolves when it has tried everything. @param epochs steps made at the end of each */
export async function haunt(
  troupe: Troupe,
  sim: Simulation,
  servers: number,
  epochs: readonly number[],
): Promise<void> {
  const refs = Array.from({ length: servers }, (_, shard) =>
    troupe.lookup(ParameterServer, `/job/ps-${shard}`),
  )
  try {
    const { generation } = await refs[0]!.ask.state()
    if (generation < 2) return
    const ghost = { generation: generation - 1, rank: 0, incarnation: INCARNATION }
    for (const server of refs) await server.ask.enlist(ghost)
    for (const steps of epochs) await refs[0]!.ask.onceKeep(ghost, validationKey(steps), FOUND)
  } catch {
    // By a server that knows better, or is down itself.
    sim.sometimes('a chief of an earlier generation was refused')
  }
}
