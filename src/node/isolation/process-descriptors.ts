/** What an actor's process finds open, beside standard input and output. */
export const DESCRIPTORS = {
  /** Socket: messages both ways. */
  messages: 3,
  /** Socket: what must be heard even by a process whose event loop is blocked. */
  watch: 4,
  /** Files in memory: large frames to the process, and from it. */
  incoming: 5,
  outgoing: 6,
} as const
