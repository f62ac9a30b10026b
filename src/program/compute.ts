import { token } from '../determinism/index.js'
import type { TroupeError } from '../errors.js'
import type { ProgramNotice, ProgramRequest, ProgramSpec } from './protocol.js'

/** How a program ended. */
export type ProgramEnd =
  | { readonly kind: 'returned'; readonly result: unknown }
  /** It threw, exited, ran out of memory, or was killed; the code of the error says which. */
  | { readonly kind: 'failed'; readonly error: TroupeError }

/** The worker of a program, as the program's runner sees it. */
export interface ProgramHost {
  /** Resolves to what the program waits for; a rejection is thrown in the program. */
  request(request: ProgramRequest): Promise<unknown>
  notice(notice: ProgramNotice): void
  /** Called once, after every request and notice. Its thread may still be on its way out. */
  ended(end: ProgramEnd): void
  /**
   * Called once, after {@link ended}: the program's thread is gone, and touches no shared memory any more. A kernel that
   * is under way can delay it.
   */
  exited?(): void
}

/** A program that runs. */
export interface Program {
  /** Aborts `ctx.signal`, once the program lets its event loop turn. */
  abort(): void
  /** Ends it where it stands, without hooks, also in the middle of a wait. `ended` follows. */
  kill(reason: string): void
}

/** Where user programs run. A worker actor is inline and owns one program, which may block. */
export interface Compute {
  start(spec: ProgramSpec, host: ProgramHost): Program
}

/** Where a job's worker actors run their programs. */
export const Compute = token<Compute>('Compute')
