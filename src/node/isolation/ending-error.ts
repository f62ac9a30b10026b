import { errorInfo, hasCode, TroupeError, type ErrorCode } from '../../errors.js'
import type { Ending, Isolating } from './carrier.js'

const CODES = {
  thread: { exited: 'ERR_THREAD_EXITED', failed: 'ERR_THREAD_FAILED', memory: 'ERR_THREAD_LIMIT' },
  process: { exited: 'ERR_PROCESS_EXITED', failed: 'ERR_PROCESS_FAILED', memory: 'ERR_PROCESS_LIMIT' },
} as const satisfies Record<Isolating['place'], Record<string, ErrorCode>>

/** Which actor it was, and how far it had come. */
export interface EndedActor {
  readonly path: string
  readonly module: string
  /** The class's module has been loaded. */
  readonly loaded: boolean
}

/** Why an actor failed whose thread or process ended by itself. */
export function endingError(place: Isolating['place'], ending: Ending, actor: EndedActor): TroupeError {
  const { path } = actor
  const codes = CODES[place]
  const what = `the ${place} of ${path}`
  if (ending.kind === 'exited') {
    const { exitCode } = ending
    return new TroupeError(codes.exited, `${what} exited with code ${exitCode}`, { data: { path, exitCode } })
  }
  if (ending.kind === 'signal') {
    const { signal, lastWords } = ending
    const words = lastWords === '' ? {} : { lastWords }
    return new TroupeError(codes.exited, `${what} was ended by ${signal}`, {
      data: { path, signal, ...words },
    })
  }
  const { cause } = ending
  const options = { data: { path, cause: errorInfo(cause).message }, cause }
  if (ending.kind === 'memory')
    return new TroupeError(codes.memory, `${what} reached its memory limit`, options)
  if (hasCode(cause, 'ERR_NOT_LOADABLE'))
    return new TroupeError('ERR_NOT_LOADABLE', `${what} found no such class`, options)
  return actor.loaded
    ? new TroupeError(codes.failed, `${what} failed outside any handler`, options)
    : new TroupeError('ERR_MODULE_LOAD', `${what} could not load ${actor.module}`, options)
}
