/** A node as others address it. A node that is started again has the same id and a greater incarnation. */
export interface NodeAddress {
  readonly id: string
  readonly incarnation: number
}

/**
 * system: small and urgent (watch, stop, acknowledgements), on a connection of its own, so that bulk does not delay
 * it. data: messages between actors.
 */
export type Lane = 'system' | 'data'

export const LANES: readonly Lane[] = ['system', 'data']

/** What a transport calls. Never called again once its endpoint is closed. */
export interface FrameReceiver {
  /** A frame came in. It may be kept: the transport does not use its bytes again. */
  frame(from: NodeAddress, frame: Uint8Array, lane: Lane): void
  /** A lane to `to` that had refused a frame takes frames again. */
  writable(to: NodeAddress, lane: Lane): void
}

export interface TransportLimits {
  /** Frames that wait on one lane to one node. @default 16384 */
  readonly maxMessages: number
  /** Bytes that wait on one lane to one node; one frame is taken whatever its size. @default 67108864 */
  readonly maxBytes: number
}

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = Object.freeze({
  maxMessages: 16_384,
  maxBytes: 64 * 1024 * 1024,
})

/**
 * Carries frames between nodes: at best in order on one lane of one pair of nodes, possibly never, in another order,
 * or twice when things fail. What must be certain is built above it. It knows no actor and reads no frame.
 */
export interface Transport {
  /**
   * Joins as `self`. Frames to another incarnation of `self.id` are not given to this receiver.
   *
   * @throws ERR_ADDRESS_TAKEN when that id is open on this transport
   */
  open(self: NodeAddress, receiver: FrameReceiver): Promise<Endpoint>
}

/** One node's end of a transport. */
export interface Endpoint {
  readonly self: NodeAddress

  /**
   * Hands a frame over; its bytes belong to the transport from then on. Answers false, having taken nothing, when the
   * lane to that node is full: `writable` tells when to go on. A node that is not there loses the frame in silence.
   *
   * @throws ERR_CLOSED
   */
  send(to: NodeAddress, frame: Uint8Array, lane: Lane): boolean

  /**
   * To every node that is there, this one excepted, on the system lane. Best effort: a full lane loses its copy.
   *
   * @throws ERR_CLOSED
   */
  broadcast(frame: Uint8Array): void

  /** Resolves when all that was sent has left this node. */
  drain(): Promise<void>

  /** Leaves at once; what still waits is lost. Closing twice does nothing. */
  close(): Promise<void>
}
