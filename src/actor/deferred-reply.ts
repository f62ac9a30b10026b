/**
 * An answer to be given later: the handler returns it, the actor goes on with its next message, and the asker waits.
 * Settles once; later calls do nothing. The asker gets ERR_REPLY_LOST if the incarnation ends before.
 */
export interface DeferredReply<T> {
  resolve(value: T): void
  /** A Rejected, or another error: the asker gets it, the actor lives on. */
  reject(error: Error): void
  readonly settled: boolean
  /** @internal Tells the types apart. */
  readonly replyType?: T
}
