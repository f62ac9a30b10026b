import type { IsolationMessage } from './isolation-protocol.js'

/** The way to the host. */
export interface HostChannel {
  /** Do shared buffers go along by reference? */
  readonly sharesMemory: boolean
  /** One word: 1 once the incarnation begins to end. Set also while the actor's code blocks its event loop. */
  readonly control: Int32Array
  post(message: IsolationMessage): void
}
