import { TroupeError, type ErrorCode } from '../errors.js'
import { redact } from './redaction.js'

/** What a failed request asks for. */
export type Reaction =
  /** This NameNode cannot answer now: another may. */
  | 'switch'
  /** Nobody can answer now: later. */
  | 'wait'
  /** Who we are was not believed. */
  | 'authenticate'
  /** The same would be said again. */
  | 'end'

export type HdfsErrorCode = Extract<
  ErrorCode,
  | 'ERR_HDFS_UNAVAILABLE'
  | 'ERR_HDFS_MISSING'
  | 'ERR_HDFS_EXISTS'
  | 'ERR_HDFS_DENIED'
  | 'ERR_HDFS_AUTHENTICATION'
  | 'ERR_HDFS_FULL'
  | 'ERR_HDFS_REFUSED'
>

/** One request that failed; ends as a TroupeError once nothing more is tried. */
export class RequestFailure extends Error {
  readonly code: HdfsErrorCode
  readonly reaction: Reaction
  /** May the server have done it all the same? */
  readonly ambiguous: boolean
  /** The simple name of the server's exception; empty where there was none. */
  readonly exception: string

  constructor(
    message: string,
    facts: {
      readonly code: HdfsErrorCode
      readonly reaction: Reaction
      readonly ambiguous?: boolean
      readonly exception?: string
      readonly cause?: unknown
    },
  ) {
    super(redact(message), facts.cause === undefined ? undefined : { cause: redactedCause(facts.cause) })
    this.name = 'RequestFailure'
    this.code = facts.code
    this.reaction = facts.reaction
    this.ambiguous = facts.ambiguous ?? false
    this.exception = facts.exception ?? ''
  }

  /** For whoever called: what was done, where. */
  toError(doing: string, place: string): TroupeError {
    return new TroupeError(this.code, `${doing} ${redact(place)}: ${this.message}`, {
      data: { place: redact(place), ...(this.exception === '' ? {} : { exception: this.exception }) },
      cause: this.cause,
    })
  }
}

/** Errors of Node carry addresses and text of their own, which may repeat a URL. */
function redactedCause(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const error = new Error(redact(cause.message))
  error.name = cause.name
  const { code } = cause as { code?: unknown }
  return typeof code === 'string' ? Object.assign(error, { code }) : error
}
