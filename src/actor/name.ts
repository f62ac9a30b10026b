import { describe, TroupeError } from '../errors.js'

const NAME = /^[A-Za-z0-9_-]{1,64}$/

/** Names that a promise or the ask facade needs for itself. */
const REFUSED_HANDLERS = new Set(['with', 'then'])

/** An actor's name is part of subjects, keys and paths: refused unless 1 to 64 of [A-Za-z0-9_-]. */
export function checkActorName(name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME.test(name)) return
  throw new TroupeError('ERR_ACTOR_NAME', `bad actor name ${describe(name)}`, { data: { name } })
}

/** A handler's name travels in frames and stands on the facades. */
export function checkHandlerName(type: string, name: string): void {
  if (NAME.test(name) && !REFUSED_HANDLERS.has(name)) return
  throw new TroupeError(
    'ERR_ACTOR_TYPE',
    `actor class ${type} has a handler named ${describe(name)}; names are 1 to 64 of [A-Za-z0-9_-], and 'with' and 'then' are taken`,
    { data: { type, handler: name } },
  )
}
