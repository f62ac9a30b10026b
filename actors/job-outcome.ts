import { createHash } from 'node:crypto'
import { assemble, WEIGHTS_KIND, weightsSha256, type PhaseTimes } from 'troupe/training'
import type { CheckpointRef } from './checkpointer.js'
import type { JobCrew } from './job-crew.js'
import { PATIENT } from './job-spec.js'

/** How often the last version is cut, if no checkpoint comes of it. */
const LAST_CUT_TRIES = 3

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
  const { servers } = crew
  const newest = last === undefined ? null : await lastCheckpoint(crew, last)
  const phases = await servers[0]!.ask.phases()
  const parts = await Promise.all(servers.map(async server => server.ask.weights()))
  const variables = parts[0]?.variables ?? []
  const tensors = parts.flatMap(part => part?.tensors ?? [])
  const kinds = [...new Set(tensors.map(({ kind }) => kind))].filter(kind => kind !== WEIGHTS_KIND).sort()
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

/** The newest checkpoint, which is one of the last version unless that cannot be written. */
async function lastCheckpoint(
  crew: JobCrew,
  { generation, version }: { readonly generation: number; readonly version: number },
): Promise<CheckpointRef | null> {
  for (let tries = 1; ; tries++) {
    if (version > 0) crew.cutNow(generation, version)
    // Their pieces are with the checkpointer when they answer, before it is asked.
    await crew.states()
    const newest = await crew.checkpointer.ask.with(PATIENT).newest()
    // A server whose memory was in use for cuts that were still being written has it again now.
    if (version === 0 || newest?.step === version || tries === LAST_CUT_TRIES) return newest
  }
}
