export { wireCounters, type WireCounters } from './counters.js'
export { DTYPES, isDType, type DType, type DTypeViews } from './dtype.js'
export {
  ENVELOPE_KINDS,
  type ChainLink,
  type Envelope,
  type EnvelopeField,
  type EnvelopeKind,
  type TraceContext,
} from './envelope.js'
export { decodeFrame, encodeFrame, PROTOCOL_VERSION, type Frame } from './frame.js'
export { type FrameField } from './frame-error.js'
export { roundTrip } from './round-trip.js'
export type { SharedBuffers } from './shared-memory.js'
export { TensorData } from './tensor-data.js'
export { type ValueHooks } from './value-hooks.js'
