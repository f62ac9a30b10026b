import { channel } from 'node:diagnostics_channel'

/**
 * What happens to actors, published on `node:diagnostics_channel`: free when nobody listens.
 *
 * Every event has `runtime` (the runtime's name) and `path`.
 */
export const events = {
  /** `incarnation`, `cause`: what `onStart` was told */
  started: channel('troupe.actor.started'),
  /** `incarnation`, `cause`: what was thrown */
  failed: channel('troupe.actor.failed'),
  /** `incarnation`, `reason`, `delayMs`, `restarts` */
  restarting: channel('troupe.actor.restarting'),
  /** `reason` */
  terminated: channel('troupe.actor.terminated'),
  /** `message`, `sender`, `cause` */
  deadLetter: channel('troupe.dead-letter'),
  /** `message` */
  lateReply: channel('troupe.late-reply'),
  /** `message`, `code`: a tell was refused with Rejected, and nobody was there to be told */
  rejectedTell: channel('troupe.rejected-tell'),
  /** `error`: a hook or callback threw where nothing can fail any more */
  suppressed: channel('troupe.suppressed'),
} as const
