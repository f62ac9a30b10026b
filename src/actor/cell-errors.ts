import { TroupeError } from '../errors.js'
import type { DeathReason } from './death.js'

/** What an asker gets when the actor it asked cannot answer any more. */
export function failedError(path: string, cause: unknown): TroupeError {
  return new TroupeError('ERR_ACTOR_FAILED', `${path} failed while it handled the message`, {
    data: { path },
    cause,
  })
}

/** The same for an actor whose life, or one incarnation of it, ended for the given reason. */
export function goneError(path: string, reason: DeathReason): TroupeError {
  if (reason.kind === 'failed') return failedError(path, reason.cause)
  if (reason.kind === 'killed') {
    return new TroupeError('ERR_ACTOR_FAILED', `${path} was killed`, { data: { path, reason: 'killed' } })
  }
  return new TroupeError('ERR_ACTOR_STOPPED', `${path} has stopped`, { data: { path } })
}

/** What a spawner gets when the actor ended before it ran. */
export function spawnError(path: string, type: string, reason: DeathReason): TroupeError {
  if (reason.kind !== 'failed') return goneError(path, reason)
  return new TroupeError('ERR_ACTOR_START', `${path} (${type}) failed to start`, {
    data: { path, type },
    cause: reason.cause,
  })
}

export function stopTimeoutError(path: string, shutdownMs: number): TroupeError {
  return new TroupeError(
    'ERR_STOP_TIMEOUT',
    `${path} was still busy ${shutdownMs} ms after it was asked to stop`,
    { data: { path, shutdownMs } },
  )
}

export function nameTakenError(parent: string, path: string, name: string, state: string): TroupeError {
  return new TroupeError('ERR_NAME_TAKEN', `${parent} already has a child named '${name}' (${state})`, {
    data: { path, state },
  })
}

export function cycleError(message: string, paths: readonly string[]): TroupeError {
  return new TroupeError(
    'ERR_ASK_CYCLE',
    `the ask '${message}' came back to an actor that waits: ${paths.join(' → ')}`,
    { data: { chain: paths } },
  )
}

export interface MailboxUse {
  readonly path: string
  readonly messages: number
  readonly maxMessages: number
  readonly bytes: number
  readonly maxBytes: number
}

export function mailboxFullError(message: string, use: MailboxUse): TroupeError {
  const { path, messages, maxMessages, bytes, maxBytes } = use
  return new TroupeError(
    'ERR_MAILBOX_FULL',
    `the mailbox of ${path} has no room for '${message}': ${messages} of ${maxMessages} messages, ${bytes} of ${maxBytes} bytes`,
    { data: { ...use } },
  )
}
