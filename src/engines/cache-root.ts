import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import process from 'node:process'

/**
 * Where engines are kept: `$TROUPE_CACHE`, else `$XDG_CACHE_HOME/troupe`, else `~/.cache/troupe`.
 * As the XDG specification has it, a relative `$XDG_CACHE_HOME` does not count.
 */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['TROUPE_CACHE']
  if (own !== undefined && own !== '') return own
  const xdg = env['XDG_CACHE_HOME']
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'troupe')
  return join(homedir(), '.cache', 'troupe')
}
