/** What happened to frames between nodes. They only grow. */
export interface RemotingCounters {
  /** Messages of a pair that never came: gaps in its sequence. */
  lost: number
  /** Messages that came twice, or after a later one of their pair; not handled. */
  duplicates: number
  /** Frames of node incarnations that were declared down; refused. */
  stale: number
  /** Frames that could not be read; refused. */
  bad: number
  /** Messages that went back to their sender, since the incarnation they named was not here. */
  returned: number
  /** Messages that came back too late to be sent again; dead letters. */
  lateReturns: number
  /** System messages that were sent again. */
  resent: number
}

export function newCounters(): RemotingCounters {
  return {
    lost: 0,
    duplicates: 0,
    stale: 0,
    bad: 0,
    returned: 0,
    lateReturns: 0,
    resent: 0,
  }
}
