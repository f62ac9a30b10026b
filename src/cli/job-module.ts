import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { TroupeError } from '../errors.js'

const TYPESCRIPT = /\.[cm]?tsx?$/

/**
 * Imports a job's module and gives what it exports as default. TypeScript is loaded as it is.
 *
 * @param path relative to `cwd`
 * @throws ERR_JOB_MODULE when it cannot be imported or exports no default
 */
export async function loadJobModule(path: string, cwd: string): Promise<{ url: string; exported: unknown }> {
  const url = pathToFileURL(resolve(cwd, path)).href
  if (TYPESCRIPT.test(path)) {
    const { register } = await import('tsx/esm/api')
    register()
  }
  let module: { default?: unknown }
  try {
    module = (await import(url)) as { default?: unknown }
  } catch (error) {
    throw new TroupeError('ERR_JOB_MODULE', `cannot load the job ${path}`, { data: { path }, cause: error })
  }
  if (module.default === undefined) {
    const names = Object.keys(module).join(', ') || 'nothing'
    throw new TroupeError('ERR_JOB_MODULE', `${path} has no default export; it exports ${names}`, {
      data: { path },
    })
  }
  return { url, exported: module.default }
}
