/** Names of nodes that a network fault is about. @default all */
export type NodeNames = readonly string[]

/** A fault of the network, in force for a while, on frames from some nodes to some others. */
export type NetworkFault = {
  /** When it begins, in milliseconds of virtual time. */
  readonly atMs: number
  /** How long it stays, in milliseconds. */
  readonly forMs: number
  readonly from?: NodeNames
  readonly to?: NodeNames
} & (
  | { readonly kind: 'drop'; readonly probability: number }
  /** The copy comes up to `delayMs` later. */
  | { readonly kind: 'duplicate'; readonly probability: number; readonly delayMs: number }
  /** The frame comes `delayMs` late and is overtaken. */
  | { readonly kind: 'reorder'; readonly probability: number; readonly delayMs: number }
  /** Every frame takes up to `delayMs` longer; the order stays. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Every frame is lost; one way only, as long as nobody adds the other. */
  | { readonly kind: 'partition' }
)

/** A fault of one node. */
export type NodeFault = { readonly atMs: number; readonly node: string } &
  /** Power cut. It boots again after `restartAfterMs`, as a new incarnation; without it, never. */
  (
    | { readonly kind: 'crash'; readonly restartAfterMs?: number }
    /** Nothing runs on it for a while: a blocked event loop, a suspended machine. */
    | { readonly kind: 'pause'; readonly forMs: number }
    /** The cluster declares it down though it lives; it boots again after `restartAfterMs`. */
    | { readonly kind: 'expel'; readonly restartAfterMs?: number }
    /** Its wall clock is wrong by this much from now on. */
    | { readonly kind: 'skew'; readonly skewMs: number }
  )

export type Fault = NetworkFault | NodeFault
export type FaultKind = Fault['kind']

/** What goes wrong in a run: plain data, so that it can be printed, shrunk and replayed. */
export type FaultPlan = readonly Fault[]

export function isNodeFault(fault: Fault): fault is NodeFault {
  return 'node' in fault
}
