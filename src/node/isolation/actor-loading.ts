import { TroupeError } from '../../errors.js'

/** The module that this thread or process imports for its actor; undefined where no isolated actor is being started. */
let loading: string | undefined

/** Imports the module of an isolated actor. */
export async function importActorModule(module: string): Promise<void> {
  loading = module
  try {
    await import(module)
  } finally {
    loading = undefined
  }
}

/**
 * A module that starts a runtime when it is imported would do so wherever one of its isolated actors starts, which would spawn theirs,
 * without end.
 *
 * @throws ERR_RUNTIME_IN_THREAD
 */
export function checkNotLoading(): void {
  if (loading === undefined) return
  throw new TroupeError(
    'ERR_RUNTIME_IN_THREAD',
    `${loading} starts a runtime when it is imported, and an isolated actor of it imports it as well`,
    { data: { module: loading } },
  )
}
