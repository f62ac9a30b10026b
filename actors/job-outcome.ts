import { createHash } from 'node:crypto'
import { assemble, WEIGHTS_KIND, weightsSha256, type PhaseTimes } from 'troupe/training'
import type { JobCrew } from './job-crew.js'
import { PATIENT } from './job-spec.js'

/** What the servers hold at a job's end. */
export interface FinalState {
  readonly weightsSha256: string
  readonly slotsSha256: string
  readonly phases: readonly PhaseTimes[]
  /** Folder of the newest checkpoint, where they stay. */
  readonly checkpoint: string | null
}

/**
 * Digests of weights and slots: the same for any number of servers.
 *
 * @param last where checkpoints stay when the job has ended: the version of the last one
 */
export async function finalState(
  crew: JobCrew,
  last: { readonly generation: number; readonly version: number } | undefined,
): Promise<FinalState> {
  const { servers, checkpointer } = crew
  // Handed to the checkpointer before the servers answer, and before it is asked below.
  if (last !== undefined && last.version > 0) crew.cutNow(last.generation, last.version)
  const phases = await servers[0]!.ask.phases()
  const parts = await Promise.all(servers.map(async server => server.ask.weights()))
  const variables = parts[0]?.variables ?? []
  const tensors = parts.flatMap(part => part?.tensors ?? [])
  const kinds = [...new Set(tensors.map(({ kind }) => kind))].filter(kind => kind !== WEIGHTS_KIND).sort()
  const newest = last !== undefined ? await checkpointer.ask.with(PATIENT).newest() : null
  const slots = createHash('sha256')
  for (const kind of kinds) {
    const held = new Set(tensors.filter(tensor => tensor.kind === kind).map(({ variable }) => variable))
    const having = variables.filter(({ name }) => held.has(name))
    slots.update(`${kind} ${weightsSha256(having, assemble(having, tensors, kind))}\n`)
  }
  return {
    weightsSha256: weightsSha256(variables, assemble(variables, tensors, WEIGHTS_KIND)),
    slotsSha256: slots.digest('hex'),
    phases,
    checkpoint: newest?.path ?? null,
  }
}
