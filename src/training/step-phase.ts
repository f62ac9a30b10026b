/** The parts of a step that a worker spends its time in. */
export const STEP_PHASES = ['data', 'compute', 'push', 'barrier', 'pull'] as const

/**
 * `data`: waiting for the batch; `compute`: forward and backward; `push`: writing the gradient; `barrier`: waiting
 * until every rank has pushed and the servers have updated; `pull`: reading the new weights.
 */
export type StepPhase = (typeof STEP_PHASES)[number]

/** Milliseconds spent in each phase. */
export type PhaseTimes = Readonly<Record<StepPhase, number>>
