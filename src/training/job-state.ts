import { TroupeError } from '../errors.js'
import { decodeFrame, encodeFrame, type Envelope } from '../wire/index.js'
import type { TrainingState } from './training-state.js'

/** What a job was, for whoever goes on with it: differences end exactness, or forbid it. */
export interface JobFacts {
  readonly name: string
  readonly workers: number
  readonly seed: number
  /** Of the text of the job's module; null if it could not be read. */
  readonly moduleSha256: string | null
  /** Arguments of `main`. */
  readonly args: Readonly<Record<string, unknown>>
}

/** What a checkpoint holds beside its tensors. */
export interface JobState {
  readonly facts: JobFacts
  readonly training: TrainingState
}

/** It is a frame, with the format's version, its own check and its own rules for hostile bytes. */
const ENVELOPE: Envelope = { kind: 'tell', target: '/checkpoint' }
const NAME = 'job-state-1'

/**
 * The state as msgpack: numbers lie in it as binary data, as in every message.
 *
 * @throws ERR_PAYLOAD if it holds what is not plain data
 */
export function encodeJobState(state: JobState): Uint8Array {
  return encodeFrame(ENVELOPE, NAME, [state])
}

/** @throws ERR_FRAME, ERR_PROTOCOL_VERSION, ERR_STATE_LOST if the bytes are not a state that can be read */
export function decodeJobState(bytes: Uint8Array): JobState {
  const { name, args } = decodeFrame(bytes)
  if (name === NAME) return args[0] as JobState
  throw new TroupeError('ERR_STATE_LOST', `the state of the checkpoint has the format ${name}, not ${NAME}`)
}
