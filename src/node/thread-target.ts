import { TroupeError } from '../errors.js'
import type { AskOptions } from '../actor/ask.js'
import type { HandlerEntry } from '../actor/protocol.js'
import type { RefTarget } from '../actor/ref.js'
import type { ValueHooks } from '../wire/index.js'
import { seal, unpackValue, type SealedMessage, type ThreadTag } from './thread-protocol.js'

/** What a thread says to its host. */
export interface ThreadLine {
  readonly hooks: ValueHooks
  /** Numbers requests, so that they can be aborted. */
  nextId(): number
  request(tag: ThreadTag, body: unknown, id: number): Promise<unknown>
  send(tag: ThreadTag, id: number, body?: unknown): void
}

/** Where the refs in an actor's thread point: all that is sent to them goes by way of the host. */
export function threadTarget(line: ThreadLine, path: string): RefTarget {
  const notHere = (): never => {
    throw new TroupeError('ERR_INTERNAL', 'a thread watches through its context only')
  }
  return {
    path,
    ask: (handler, payload, options) => ask(line, path, handler, payload, options),
    tell: (handler, payload) =>
      line.send('send-tell', 0, { path, message: sealed(line.hooks, handler, payload) }),
    watch: notHere,
    unwatch: notHere,
    stop: async () => {
      await line.request('stop-child', path, line.nextId())
    },
  }
}

/** Sends before it first waits, so that messages keep their order. */
async function ask(
  line: ThreadLine,
  path: string,
  handler: HandlerEntry,
  payload: unknown,
  { signal, timeoutMs }: AskOptions = {},
): Promise<unknown> {
  if (signal?.aborted === true) {
    throw new TroupeError('ERR_ASK_ABORTED', `the ask '${handler.name}' to ${path} was aborted`, {
      cause: signal.reason,
    })
  }
  const message = sealed(line.hooks, handler, payload)
  const id = line.nextId()
  const onAbort = (): void => line.send('abort-ask', id)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return unpackValue(await line.request('send-ask', { path, message, timeoutMs }, id), line.hooks)
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

function sealed(hooks: ValueHooks, handler: HandlerEntry, payload: unknown): SealedMessage {
  const args = handler.packed ? (payload as unknown[]) : payload === undefined ? [] : [payload]
  return seal(handler.name, args, hooks)
}
