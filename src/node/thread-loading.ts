import { TroupeError } from '../errors.js'

/** The module that this thread imports for its actor; undefined where no thread of an actor is being started. */
let loading: string | undefined

/** Imports the module of a thread's actor. */
export async function importActorModule(module: string): Promise<void> {
  loading = module
  try {
    await import(module)
  } finally {
    loading = undefined
  }
}

/**
 * A module that starts a runtime when it is imported would do so in each thread of its actors, which would spawn theirs,
 * without end.
 *
 * @throws ERR_RUNTIME_IN_THREAD
 */
export function checkNotLoading(): void {
  if (loading === undefined) return
  throw new TroupeError(
    'ERR_RUNTIME_IN_THREAD',
    `${loading} starts a runtime when it is imported, and the thread of an actor imports it`,
    { data: { module: loading } },
  )
}
