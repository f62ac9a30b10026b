import { describe, TroupeError } from '../errors.js'
import type { JobSummary } from './job-context.js'

/** Takes figures and keeps none: nothing reads them yet. Checks them, so that programs are right when something does. */
export class ProgramSummary implements JobSummary {
  scalar(name: string, value: number): void {
    if (name !== '' && typeof value === 'number') return
    throw new TroupeError(
      'ERR_INVALID_OPTION',
      `summary.scalar needs a name and a number; got ${describe(name)} and ${describe(value)}`,
    )
  }
}
