import { TroupeError } from '../errors.js'

/** A command line that cannot be understood: exit code 2. */
export function usageError(what: string, option?: string, value?: string): TroupeError {
  return new TroupeError('ERR_USAGE', what, {
    data: { ...(option === undefined ? {} : { option }), ...(value === undefined ? {} : { value }) },
  })
}
