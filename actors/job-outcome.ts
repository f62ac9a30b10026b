import { assemble, WEIGHTS_KIND, weightsSha256, type PhaseTimes } from 'troupe/training'
import type { JobCrew } from './job-crew.js'

/** What the servers hold at a job's end. */
export interface FinalState {
  readonly weightsSha256: string
  readonly phases: readonly PhaseTimes[]
}

export async function finalState({ servers }: JobCrew): Promise<FinalState> {
  const phases = await servers[0]!.ask.phases()
  const parts = await Promise.all(servers.map(async server => server.ask.weights()))
  if (!parts.every(part => part !== null)) return { weightsSha256: weightsSha256([], []), phases }
  const { variables } = parts[0]!
  const tensors = parts.flatMap(part => part.tensors)
  return { weightsSha256: weightsSha256(variables, assemble(variables, tensors, WEIGHTS_KIND)), phases }
}
