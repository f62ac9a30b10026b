import { TroupeError, type ErrorCode, type ErrorData } from '../errors.js'
import { countBadFrame } from './counters.js'
import type { EnvelopeField } from './envelope.js'

/** The parts of a frame that can be wrong. Stable names: metrics are counted by them. */
export type FrameField =
  | 'frame'
  | 'version'
  | 'header'
  | 'padding'
  | 'body'
  | 'envelope'
  | EnvelopeField
  | 'name'
  | 'args'
  | 'tensors'
  | `tensor.${'dtype' | 'shape' | 'offset' | 'byteLength' | 'name' | 'data'}`

/** Counts a bad frame and makes its error. Nothing of the frame's content goes into it but what `what` says. */
export function badFrame(
  field: FrameField,
  what: string,
  options: { code?: ErrorCode; data?: ErrorData; cause?: unknown } = {},
): TroupeError {
  countBadFrame(field)
  const { code = 'ERR_FRAME', data, cause } = options
  return new TroupeError(code, `bad frame: ${field}: ${what}`, { data: { field, ...data }, cause })
}
