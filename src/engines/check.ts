import { causalChain, TroupeError } from '../errors.js'
import type { Check } from './engine.js'

/** One check: its detail is what `work` says, or what went wrong. */
export async function check(name: string, work: () => Promise<string>, remedy?: string): Promise<Check> {
  try {
    return { name, ok: true, detail: await work() }
  } catch (error) {
    const detail = causalChain(error).join('; ')
    return { name, ok: false, detail, ...(remedy === undefined ? {} : { remedy }) }
  }
}

/** @throws ERR_ENGINE_BROKEN, with what was thrown as its cause */
export async function brokenUnless(title: string, works: () => Promise<unknown>): Promise<void> {
  try {
    await works()
  } catch (cause) {
    throw new TroupeError('ERR_ENGINE_BROKEN', `${title} was installed but does not work`, { cause })
  }
}
